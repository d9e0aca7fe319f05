import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { readSysctl, writeSysctl } from "../linux/sysctl.ts";
import {
  ask,
  askBriefly,
  askUdpFrom,
  becomePretendHost,
  hostAddress,
  hostAddress6,
  inside,
  leavePretendHost,
  outsideAddress,
  type PretendHost,
  serve,
  serveUdp,
  tcp,
  type TestManager,
  testManager,
  traces,
  udp,
} from "./network.fixture.ts";
import type { NetworkConfig } from "./network-config.ts";

const host: PretendHost = becomePretendHost();
const clean = traces(host.directory);
after(() => leavePretendHost(host));

type Cleanup = { after(work: () => unknown): void };

/** A manager that is taken down, and looked at for leaks, when the test is over. */
async function started(config: Partial<NetworkConfig>, t?: Cleanup): Promise<TestManager> {
  const manager = testManager(mkdtempSync(join(host.directory, "root-")), config);
  t?.after(() => ended(manager));
  await manager.restore(() => false);
  return manager;
}

async function ended(manager: TestManager): Promise<void> {
  for (const { containerId } of manager.sandboxes()) manager.close(containerId);
  await manager.shutdown({ removeAll: true });
  const left = traces(host.directory);
  assert.deepEqual([left.links, left.tables, left.mounts], [clean.links, clean.tables, clean.mounts]);
}

/** While `work` runs, what is sent to 127.0.0.1 in a namespace goes to a neighbour. */
async function withoutLoopback(
  { netns, gateway, device }: { netns: string; gateway: string; device: string },
  work: () => Promise<void>,
): Promise<void> {
  inside(netns, "sh", "-c", `echo 1 > /proc/sys/net/ipv4/conf/${device}/route_localnet`);
  inside(netns, "ip", "addr", "del", "127.0.0.1/8", "dev", "lo");
  inside(netns, "ip", "route", "add", "127.0.0.1/32", "via", gateway);
  await work();
  inside(netns, "ip", "route", "del", "127.0.0.1/32");
  inside(netns, "ip", "addr", "add", "127.0.0.1/8", "dev", "lo");
}

/** One UDP question from the host by a socket of its own, or one that is given. */
async function askUdp(
  address: string,
  port: number,
  socket = createSocket(address.includes(":") ? "udp6" : "udp4"),
) {
  socket.unref().send("hello", port, address);
  const timer = setTimeout(() => socket.emit("message", Buffer.from("silence")), 60_000);
  const [data] = (await once(socket, "message")) as [Buffer];
  clearTimeout(timer);
  return data.toString();
}

describe("published on all addresses", () => {
  let manager: TestManager;
  let web: Awaited<ReturnType<TestManager["openContainer"]>>;
  let other: typeof web;
  before(async () => {
    manager = await started({ bridge: "gt-net0", bip: "10.231.0.1/24" });
    web = await manager.openContainer({ ports: [tcp(80, 8080)] });
    other = await manager.openContainer();
    await serve(web.netns, 80, "web");
  });
  after(() => ended(manager));

  test("both families are listed", () => {
    assert.deepEqual(
      web.ports.map(({ hostIp, hostPort }) => `${hostIp} ${hostPort}`),
      ["0.0.0.0 8080", ":: 8080"],
    );
  });

  const fromHost: readonly [string, string, string][] = [
    ["127.0.0.1", "127.0.0.1", "web 10.231.0.1"],
    ["another loopback address", "127.8.8.8", "web 10.231.0.1"],
    ["the host's own address", hostAddress, `web ${hostAddress}`],
    ["::1", "::1", "web 10.231.0.1"],
    ["the host's IPv6 address", hostAddress6, "web 10.231.0.1"],
  ];
  for (const [name, address, answer] of fromHost)
    test(`from the host by ${name}`, async () => {
      assert.equal(await ask(undefined, address, 8080), answer);
    });

  test("from the host by the container's address", async () => {
    assert.equal(await ask(undefined, web.endpoints[0]!.ipv4Address, 80), "web 10.231.0.1");
  });

  test("from outside, which keeps its address", async () => {
    assert.equal(await ask(host.outside, hostAddress, 8080), `web ${outsideAddress}`);
    assert.equal(await ask(host.outside, hostAddress6, 8080), "web 10.231.0.1");
  });

  test("from another container by the host's addresses and directly", async () => {
    assert.match((await ask(other.netns, hostAddress, 8080)) ?? "", /^web /);
    assert.match((await ask(other.netns, "10.231.0.1", 8080)) ?? "", /^web /);
    assert.equal(
      await ask(other.netns, web.endpoints[0]!.ipv4Address, 80),
      `web ${other.endpoints[0]!.ipv4Address}`,
    );
  });

  test("from itself by the host's address", async () => {
    assert.match((await ask(web.netns, hostAddress, 8080)) ?? "", /^web /);
  });

  test("containers' own addresses are no way in from outside", async () => {
    assert.equal(await askBriefly(host.outside, web.endpoints[0]!.ipv4Address, 80), undefined);
    await serve(other.netns, 81, "hidden");
    assert.equal(await askBriefly(host.outside, other.endpoints[0]!.ipv4Address, 81), undefined);
  });

  test("a container reaches the outside under the host's address", async () => {
    const server = await serve(host.outside, 7000, "outside");
    assert.equal(await ask(web.netns, outsideAddress, 7000), `outside ${hostAddress}`);
    server.close();
  });

  test("the loopback device is up, and eth0 has no IPv6", () => {
    const addresses = inside(web.netns, "ip", "-o", "addr");
    assert.match(addresses, /inet 127\.0\.0\.1\/8/);
    assert.doesNotMatch(addresses, /eth0.*inet6/);
  });

  test("after close nothing answers", async () => {
    const gone = await manager.openContainer({ id: "gone", ports: [tcp(80, 8099)] });
    await serve(gone.netns, 80, "gone");
    assert.match((await ask(undefined, "127.0.0.1", 8099)) ?? "", /^gone/);
    manager.close("gone");
    assert.equal(await askBriefly(undefined, "127.0.0.1", 8099), undefined);
    assert.equal(await askBriefly(undefined, "::1", 8099), undefined);
    await manager.idle();
  });
});

describe("published on one address", () => {
  let manager: TestManager;
  before(async () => {
    manager = await started({ bridge: "gt-net1", bip: "10.231.1.1/24" });
  });
  after(() => ended(manager));

  test("127.0.0.1: not reachable from outside in any way", async () => {
    const web = await manager.openContainer({ ports: [tcp(80, 8081, "127.0.0.1")] });
    await serve(web.netns, 80, "web");
    assert.deepEqual(
      web.ports.map(({ hostIp }) => hostIp),
      ["127.0.0.1"],
    );
    assert.equal(await ask(undefined, "127.0.0.1", 8081), "web 10.231.1.1");
    assert.equal(await askBriefly(undefined, hostAddress, 8081), undefined);
    assert.equal(await askBriefly(host.outside, hostAddress, 8081), undefined);
    assert.equal(await askBriefly(host.outside, web.endpoints[0]!.ipv4Address, 80), undefined);
    const other = await manager.openContainer();
    assert.equal(await askBriefly(other.netns, "10.231.1.1", 8081), undefined);
  });

  test("packets from a wire to 127.0.0.1 reach neither a published port nor a service of the host", async () => {
    const service = await serve(undefined, 8082, "secret");
    const attacker = await manager.openContainer();
    for (const [netns, gateway, device] of [
      [host.outside, hostAddress, "eth0"],
      [attacker.netns, "10.231.1.1", "eth0"],
    ] as const) {
      await withoutLoopback({ netns, gateway, device }, async () => {
        assert.equal(await askBriefly(netns, "127.0.0.1", 8081), undefined);
        assert.equal(await askBriefly(netns, "127.0.0.1", 8082), undefined);
      });
    }
    assert.equal(await ask(undefined, "127.0.0.1", 8082), "secret 127.0.0.1");
    service.close();
  });

  test("the host's address on the wire: not by loopback", async () => {
    const web = await manager.openContainer({ ports: [tcp(80, 8083, hostAddress)] });
    await serve(web.netns, 80, "wire");
    assert.equal(await ask(host.outside, hostAddress, 8083), `wire ${outsideAddress}`);
    assert.equal(await askBriefly(undefined, "127.0.0.1", 8083), undefined);
    assert.equal(await askBriefly(undefined, "::1", 8083), undefined);
  });

  test("two containers share a port on two addresses", async () => {
    const a = await manager.openContainer({ ports: [tcp(80, 8084, "127.0.0.1")] });
    const b = await manager.openContainer({ ports: [tcp(80, 8084, hostAddress)] });
    await serve(a.netns, 80, "a");
    await serve(b.netns, 80, "b");
    assert.match((await ask(undefined, "127.0.0.1", 8084)) ?? "", /^a /);
    assert.match((await ask(undefined, hostAddress, 8084)) ?? "", /^b /);
  });

  test("::1", async () => {
    const web = await manager.openContainer({ ports: [tcp(80, 8085, "::1")] });
    await serve(web.netns, 80, "six");
    assert.equal(await ask(undefined, "::1", 8085), "six 10.231.1.1");
    assert.equal(await askBriefly(undefined, "127.0.0.1", 8085), undefined);
    assert.equal(await askBriefly(host.outside, hostAddress6, 8085), undefined);
  });
});

test("the default address for published ports can be set", async (t) => {
  const manager = await started({ bridge: "gt-net2", bip: "10.231.2.1/24", ip: "127.0.0.1" }, t);
  const web = await manager.openContainer({ ports: [tcp(80, 8086)] });
  assert.deepEqual(
    web.ports.map(({ hostIp }) => hostIp),
    ["127.0.0.1"],
  );
});

test("UDP from the host, ::1 and outside; a flow follows its port to the next container", async (t) => {
  const manager = await started({ bridge: "gt-net3", bip: "10.231.3.1/24" }, t);
  const first = await manager.openContainer({ id: "first", ports: [udp(90, 9090)] });
  const one = await serveUdp(first.netns, 90, "one");
  t.after(() => one.kill("SIGKILL"));
  assert.equal(await askUdp("127.0.0.1", 9090), "one hello");
  assert.equal(await askUdp("::1", 9090), "one hello");
  const flow = createSocket("udp4").unref();
  assert.equal(await askUdp(hostAddress, 9090, flow), "one hello");
  assert.equal(askUdpFrom(host.outside, hostAddress, 9090), "one hello");
  one.kill("SIGKILL");
  manager.close("first");
  await manager.idle();
  const second = await manager.openContainer({ ports: [udp(90, 9090)] });
  const two = await serveUdp(second.netns, 90, "two");
  t.after(() => two.kill("SIGKILL"));
  assert.equal(await askUdp(hostAddress, 9090, flow), "two hello");
  flow.close();
});

test("icc=false: containers reach each other by published ports only", async (t) => {
  const manager = await started({ bridge: "gt-net4", bip: "10.231.4.1/24", icc: false }, t);
  const web = await manager.openContainer({ ports: [tcp(80, 8087)] });
  const other = await manager.openContainer();
  await serve(web.netns, 80, "web");
  const server = await serve(host.outside, 7001, "outside");
  assert.equal(await askBriefly(other.netns, web.endpoints[0]!.ipv4Address, 80), undefined);
  assert.match((await ask(other.netns, hostAddress, 8087)) ?? "", /^web /);
  assert.match((await ask(web.netns, hostAddress, 8087)) ?? "", /^web /);
  assert.match((await ask(undefined, "127.0.0.1", 8087)) ?? "", /^web /);
  assert.match((await ask(other.netns, outsideAddress, 7001)) ?? "", /^outside /);
  server.close();
});

test("icc=false with IPv6: the same, by frames of either family", async (t) => {
  const manager = await started({ bridge: "gt-net9", bip: "10.231.9.1/24" }, t);
  await manager.create({
    Name: "apart",
    EnableIPv6: true,
    IPAM: { Config: [{ Subnet: "10.231.10.0/24" }, { Subnet: "fd78:10::/64" }] },
    Options: { "com.docker.network.bridge.enable_icc": "false" },
  });
  const web = await manager.openContainer({ network: "apart", ports: [tcp(80, 8090)] });
  const other = await manager.openContainer({ network: "apart" });
  await serve(web.netns, 80, "web");
  const server = await serve(host.outside, 7002, "outside");
  t.after(() => server.close());
  const { ipv4Address, ipv6Address } = web.endpoints[0]!;
  const pings = (netns: string | undefined, address: string): boolean => {
    const ping = ["busybox", "ping", "-c", "1", "-W", "1", address];
    const [program, ...args] = netns === undefined ? ping : ["nsenter", `--net=${netns}`, ...ping];
    return spawnSync(program!, args, { stdio: "ignore" }).status === 0;
  };
  for (const address of [ipv4Address, ipv6Address]) {
    assert.match((await ask(undefined, address, 80)) ?? "", /^web /, `from the host, ${address}`);
    assert.equal(pings(undefined, address), true, `ping from the host, ${address}`);
    assert.equal(await askBriefly(other.netns, address, 80), undefined, `from the other, ${address}`);
    assert.equal(pings(other.netns, address), false, `ping from the other, ${address}`);
  }
  for (const address of [hostAddress, hostAddress6])
    assert.match((await ask(other.netns, address, 8090)) ?? "", /^web /, `by the published port, ${address}`);
  for (const [address, from] of [
    [hostAddress, outsideAddress],
    [hostAddress6, "fd77::2"],
  ] as const)
    assert.equal(await ask(host.outside, address, 8090), `web ${from}`);
  for (const [address, from] of [
    [outsideAddress, hostAddress],
    ["fd77::2", hostAddress6],
  ] as const)
    assert.equal(await ask(other.netns, address, 7002), `outside ${from}`);
});

test("without firewall rules the held ports still serve every address", async (t) => {
  const manager = await started(
    { bridge: "gt-net5", bip: "10.231.5.1/24", iptables: false, ip6tables: false },
    t,
  );
  assert.deepEqual(traces(host.directory).tables, []);
  const web = await manager.openContainer({ ports: [tcp(80, 8088), udp(90, 9091)] });
  await serve(web.netns, 80, "web");
  for (const address of ["127.0.0.1", "::1", hostAddress])
    assert.equal(await ask(undefined, address, 8088), "web 10.231.5.1");
  assert.equal(await ask(host.outside, hostAddress, 8088), "web 10.231.5.1");
  const server = await serveUdp(web.netns, 90, "udp");
  t.after(() => server.kill("SIGKILL"));
  assert.equal(await askUdp("127.0.0.1", 9091), "udp hello");
});

test("without firewall rules ports on 127.0.0.1 are for the host alone, also where packets for it are let in", async (t) => {
  const config = { bridge: "gt-net8", bip: "10.231.8.1/24", iptables: false, ip6tables: false };
  const manager = await started(config, t);
  const before = readSysctl("net.ipv4.conf.wire.route_localnet");
  writeSysctl("net.ipv4.conf.wire.route_localnet", "1");
  t.after(() => writeSysctl("net.ipv4.conf.wire.route_localnet", before ?? "0"));
  const ports = [
    tcp(80, 8092, "127.0.0.1"),
    tcp(80, 8093),
    udp(90, 9092, "127.0.0.1"),
    tcp(80, 0, "127.0.0.1"),
  ];
  const web = await manager.openContainer({ ports });
  await serve(web.netns, 80, "web");
  const server = await serveUdp(web.netns, 90, "udp");
  t.after(() => server.kill("SIGKILL"));
  await withoutLoopback({ netns: host.outside, gateway: hostAddress, device: "eth0" }, async () => {
    assert.equal(await ask(host.outside, "127.0.0.1", 8093), "web 10.231.8.1");
    for (const { hostPort } of [web.ports[0]!, web.ports.at(-1)!])
      assert.equal(await askBriefly(host.outside, "127.0.0.1", hostPort), undefined);
  });
  for (const { hostPort } of [web.ports[0]!, web.ports.at(-1)!])
    assert.equal(await ask(undefined, "127.0.0.1", hostPort), "web 10.231.8.1");
  assert.equal(await askUdp("127.0.0.1", 9092), "udp hello");
  // A port that another program has is refused as on any other address.
  const taken = await serve(undefined, 8094, "taken");
  t.after(() => taken.close());
  await assert.rejects(manager.openContainer({ ports: [tcp(80, 8094, "127.0.0.1")] }), {
    message: /Bind for 127\.0\.0\.1:8094 failed: address already in use/,
  });
});

test("two managers side by side: containers meet by published ports, and only so", async (t) => {
  const left = await started({ bridge: "gt-net6", bip: "10.231.6.1/24" }, t);
  const right = await started({ bridge: "gt-net7", bip: "10.231.7.1/24" });
  const web = await left.openContainer({ ports: [tcp(80, 8089)] });
  const client = await right.openContainer();
  await serve(web.netns, 80, "web");
  assert.match((await ask(client.netns, hostAddress, 8089)) ?? "", /^web /);
  assert.equal(await askBriefly(client.netns, web.endpoints[0]!.ipv4Address, 80), undefined);
  // One restarts and goes: the other's devices, namespaces and rules stay.
  const rightAgain = testManager(right.execRoot, { bridge: "gt-net7", bip: "10.231.7.1/24" });
  await right.shutdown({ removeAll: false });
  await rightAgain.restore(() => false);
  await rightAgain.shutdown({ removeAll: true });
  assert.match((await ask(undefined, "127.0.0.1", 8089)) ?? "", /^web /);
  assert.match((await ask(host.outside, hostAddress, 8089)) ?? "", /^web /);
});

test("forwarding is switched on only when asked for", async () => {
  for (const [ipForward, expected] of [
    [false, "0"],
    [true, "1"],
  ] as const) {
    writeSysctl("net.ipv4.ip_forward", "0");
    const manager = await started({ bridge: "gt-net8", bip: "10.231.8.1/24", ipForward });
    assert.equal(readSysctl("net.ipv4.ip_forward"), expected);
    await ended(manager);
  }
});
