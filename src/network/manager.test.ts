import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { test } from "node:test";
import { host, newRoot, open, rejects, started } from "./manager.fixture.ts";
import { ask, inside, serve, tcp, testManager, traces, tryPort, udp } from "./network.fixture.ts";

test("the predefined networks keep their ids", async (t) => {
  const root = newRoot();
  const manager = await started(t, { bridge: "gt-man0", bip: "10.232.0.1/24" }, root);
  const networks = manager.list();
  assert.deepEqual(
    networks.map(({ Name, Driver }) => `${Name} ${Driver}`),
    ["bridge bridge", "host host", "none null"],
  );
  const bridge = manager.inspect("bridge");
  assert.match(bridge.Id, /^[0-9a-f]{64}$/);
  assert.deepEqual(bridge.IPAM.Config, [{ Subnet: "10.232.0.0/24", Gateway: "10.232.0.1" }]);
  assert.equal(bridge.Options?.["com.docker.network.bridge.name"], "gt-man0");
  assert.equal(manager.inspect(bridge.Id).Name, "bridge");
  assert.equal(manager.inspect(bridge.Id.slice(0, 10)).Name, "bridge");
  assert.throws(() => manager.inspect("nowhere"), /^EngineError: network nowhere not found$/);
  const again = testManager(root, { bridge: "gt-man0", bip: "10.232.0.1/24" });
  assert.deepEqual(
    again.list().map(({ Id }) => Id),
    networks.map(({ Id }) => Id),
  );
});

test("a sandbox is seen by inspect, get, and in the kernel", async (t) => {
  const manager = await started(t, { bridge: "gt-man1", bip: "10.232.1.1/24" });
  const sandbox = await manager.openContainer({ id: "a".repeat(64), macAddress: "02:42:0A:00:00:09" });
  const [endpoint] = sandbox.endpoints;
  assert.ok(endpoint);
  assert.deepEqual(
    [
      endpoint.networkName,
      endpoint.interfaceName,
      endpoint.ipv4PrefixLength,
      endpoint.ipv4Gateway,
      endpoint.macAddress,
    ],
    ["bridge", "eth0", 24, "10.232.1.1", "02:42:0a:00:00:09"],
  );
  assert.equal(manager.get("a".repeat(64))?.path, sandbox.path);
  assert.deepEqual(manager.inspect("bridge").Containers?.["a".repeat(64)], {
    Name: "name-aaaaaa",
    EndpointID: endpoint.id,
    MacAddress: "02:42:0a:00:00:09",
    IPv4Address: `${endpoint.ipv4Address}/24`,
    IPv6Address: "",
  });
  assert.equal(manager.list()[0]?.Containers, undefined);
  const seen = inside(sandbox.path, "ip", "addr", "show", "eth0");
  assert.match(seen, /link\/ether 02:42:0a:00:00:09/);
  assert.ok(seen.includes(`inet ${endpoint.ipv4Address}/24 brd 10.232.1.255`));
  assert.match(seen, /mtu 1500/);
  assert.match(inside(sandbox.path, "ip", "route"), /default via 10\.232\.1\.1 dev eth0/);
  manager.close("a".repeat(64));
  manager.close("a".repeat(64));
  assert.equal(manager.get("a".repeat(64)), undefined);
  await manager.idle();
  assert.equal(existsSync(sandbox.path), false);
});

test("mode none has a loopback device and nothing else", async (t) => {
  const manager = await started(t, { bridge: "gt-man2", bip: "10.232.2.1/24" });
  const sandbox = await manager.open({
    containerId: "n",
    containerName: "n",
    mode: "none",
    endpoints: [],
    ports: [],
  });
  assert.deepEqual(
    sandbox.endpoints.map(({ networkName, ipv4Address }) => [networkName, ipv4Address]),
    [["none", ""]],
  );
  const links = inside(sandbox.path, "ip", "-br", "link")
    .trim()
    .split("\n")
    .map((line) => line.split(/\s/)[0]);
  assert.deepEqual(
    links.filter((name) => name?.startsWith("ifb") === false),
    ["lo"],
  );
  assert.match(inside(sandbox.path, "ip", "addr", "show", "lo"), /inet 127\.0\.0\.1\/8/);
  assert.ok(manager.inspect("none").Containers?.["n"]);
  manager.close("n");
});

test("bad requests name what is wrong and leave nothing", async (t) => {
  const manager = await started(t, { bridge: "gt-man3", bip: "10.232.3.1/24" });
  const base = {
    containerId: "x",
    containerName: "x",
    mode: "bridge",
    endpoints: [{ network: "bridge", aliases: [] }],
    ports: [],
  } as const;
  await rejects(manager.openContainer({ network: "nowhere" }), "notFound", /^network nowhere not found$/);
  await rejects(manager.openContainer({ network: "host" }), "conflict", /host/);
  await rejects(manager.openContainer({ macAddress: "01:00:00:00:00:01" }), "invalidArgument", /MAC/);
  await rejects(manager.openContainer({ ipv4Address: "10.9.9.9" }), "invalidArgument", /10\.9\.9\.9/);
  await rejects(manager.openContainer({ ipv4Address: "10.9.9" }), "invalidArgument", /10\.9\.9/);
  await rejects(
    manager.openContainer({ ports: [tcp(0, 80)] }),
    "invalidArgument",
    /invalid container port: 0/,
  );
  await rejects(manager.openContainer({ ports: [tcp(80, 70_000)] }), "invalidArgument", /invalid host port/);
  await rejects(manager.openContainer({ ports: [tcp(80, 8101, "nohost")] }), "invalidArgument", /nohost/);
  await rejects(
    manager.openContainer({ ports: [tcp(80, 8101, "9.9.9.9")] }),
    "invalidArgument",
    /Bind for 9\.9\.9\.9:8101 failed: cannot assign/,
  );
  await rejects(
    manager.open({ ...base, endpoints: [...base.endpoints, ...base.endpoints] }),
    "invalidArgument",
    /twice/,
  );
  assert.deepEqual(open(manager), []);
  await manager.openContainer({ id: "twice" });
  await rejects(manager.openContainer({ id: "twice" }), "conflict", /twice/);
  const fixed = await manager.openContainer({ ipv4Address: "10.232.3.200" });
  assert.equal(fixed.endpoints[0]?.ipv4Address, "10.232.3.200");
  await rejects(manager.openContainer({ ipv4Address: "10.232.3.200" }), "conflict", /already in use/);
});

test("busy ports are refused with Docker's words, and nothing is left", async (t) => {
  const manager = await started(t, { bridge: "gt-man4", bip: "10.232.4.1/24" });
  await manager.openContainer({ ports: [tcp(80, 8110), udp(80, 8111)] });
  const prefix = /^driver failed programming external connectivity on endpoint name-\w+ \([0-9a-f]{64}\): /
    .source;
  const refused = (words: string): RegExp => new RegExp(`${prefix}${words}$`);
  await rejects(
    manager.openContainer({ ports: [tcp(81, 8112), tcp(80, 8110)] }),
    "conflict",
    refused("Bind for 0\\.0\\.0\\.0:8110 failed: port is already allocated"),
  );
  await rejects(
    manager.openContainer({ ports: [tcp(80, 8110, "127.0.0.1")] }),
    "conflict",
    refused("Bind for 127\\.0\\.0\\.1:8110 failed: port is already allocated"),
  );
  await rejects(
    manager.openContainer({ ports: [udp(80, 8111)] }),
    "conflict",
    refused("Bind for 0\\.0\\.0\\.0:8111 failed: port is already allocated"),
  );
  // 8112 was held for a moment by the first attempt: it is free again.
  await manager.openContainer({ ports: [tcp(80, 8112)] });

  const program = createServer().listen(8113, "127.0.0.1");
  await once(program, "listening");
  const datagrams = createSocket("udp4").bind(8114);
  await once(datagrams, "listening");
  await rejects(
    manager.openContainer({ ports: [tcp(80, 8113)] }),
    "conflict",
    refused("Bind for 0\\.0\\.0\\.0:8113 failed: address already in use"),
  );
  await rejects(
    manager.openContainer({ ports: [udp(80, 8114)] }),
    "conflict",
    /8114 failed: address already in use$/,
  );
  const ofOneFamily = createServer().listen({ port: 8115, host: "::", ipv6Only: true });
  await once(ofOneFamily, "listening");
  await rejects(
    manager.openContainer({ ports: [tcp(80, 8115)] }),
    "conflict",
    refused("Bind for \\[::\\]:8115 failed: address already in use"),
  );
  for (const server of [program, datagrams, ofOneFamily]) server.close();
  assert.equal(open(manager).length, 2);
});

test("a published port is held against other programs until it is closed", async (t) => {
  const manager = await started(t, { bridge: "gt-man5", bip: "10.232.5.1/24" });
  await manager.openContainer({ id: "c", ports: [tcp(80, 8120)] });
  for (const address of ["0.0.0.0", "127.0.0.1", "::", "::1"])
    assert.equal(await tryPort(address, 8120), "EADDRINUSE", address);
  manager.close("c");
  for (const address of ["0.0.0.0", "::"]) assert.equal(await tryPort(address, 8120), "free", address);
  // Published again at once, although connections went through it.
  const again = await manager.openContainer({ id: "d", ports: [tcp(80, 8120)] });
  await serve(again.netns, 80, "d");
  assert.match((await ask(undefined, "::1", 8120)) ?? "", /^d /);
  manager.close("d");
  await manager.openContainer({ ports: [tcp(80, 8120)] });
});

test("ranges and ports of the kernel's choice", async (t) => {
  const manager = await started(t, { bridge: "gt-man6", bip: "10.232.6.1/24" });
  const range = { ...tcp(80), hostPortFirst: 8130, hostPortLast: 8131 };
  const port = async (): Promise<number | undefined> =>
    (await manager.openContainer({ ports: [range] })).ports[0]?.hostPort;
  assert.deepEqual([await port(), await port()], [8130, 8131]);
  await rejects(port(), "conflict", /Bind for 0\.0\.0\.0:8130-8131 failed: all ports are allocated$/);
  const [low, high] = execFileSync("cat", ["/proc/sys/net/ipv4/ip_local_port_range"], { encoding: "utf8" })
    .split(/\s+/)
    .map(Number) as [number, number];
  const chosen = await manager.openContainer({ ports: [tcp(80), udp(80)] });
  assert.equal(chosen.ports.length, 4);
  for (const { hostPort } of chosen.ports) assert.ok(hostPort >= low && hostPort <= high, String(hostPort));
  assert.equal(chosen.ports[0]?.hostPort, chosen.ports[1]?.hostPort);
  const sctp = { ...tcp(80, 8132), protocol: "sctp" as const };
  await manager.openContainer({ ports: [sctp] });
  await rejects(manager.openContainer({ ports: [sctp] }), "conflict", /port is already allocated/);
});

test("an address pool run dry says so; an address given back is used again", async (t) => {
  const manager = await started(t, { bridge: "gt-man7", bip: "10.232.7.1/30" });
  const only = await manager.openContainer({ id: "only" });
  assert.equal(only.endpoints[0]?.ipv4Address, "10.232.7.2");
  await rejects(
    manager.openContainer({ id: "more" }),
    "resourceExhausted",
    /no available IPv4 addresses on this network's address pools: bridge \(10\.232\.7\.0\/30\)/,
  );
  manager.close("only");
  const next = await manager.openContainer({ id: "next" });
  assert.equal(next.endpoints[0]?.ipv4Address, "10.232.7.2");
});

test("many at once get different addresses", async (t) => {
  const manager = await started(t, { bridge: "gt-man8", bip: "10.232.8.1/24", fixedCidr: "10.232.8.64/27" });
  const sandboxes = await Promise.all(Array.from({ length: 12 }, () => manager.openContainer()));
  const addresses = new Set(sandboxes.map(({ endpoints }) => endpoints[0]?.ipv4Address));
  assert.equal(addresses.size, 12);
  for (const address of addresses) {
    const last = Number(address?.split(".")[3]);
    assert.ok(last >= 64 && last < 96, `${address}`);
  }
});

test("what ends together is gone together, and its addresses are free", async (t) => {
  const manager = await started(t, { bridge: "gt-manT", bip: "10.232.30.1/24" });
  await manager.create({ Name: "many", IPAM: { Config: [{ Subnet: "10.232.31.0/28" }] } });
  const before = traces(host.directory);
  for (let round = 0; round < 3; round++) {
    const ids = Array.from({ length: 13 }, (_, i) => `many${round}-${i}`);
    await Promise.all(ids.map((id) => manager.openContainer({ id, network: "many" })));
    await rejects(
      manager.openContainer({ network: "many" }),
      "resourceExhausted",
      /no available IPv4 addresses/,
    );
    for (const id of ids) manager.close(id);
    await manager.idle();
    const after = traces(host.directory);
    assert.deepEqual([after.links, after.mounts], [before.links, before.mounts]);
  }
  await manager.remove("many");
});

test("descriptors do not pile up", async (t) => {
  const manager = await started(t, { bridge: "gt-manI", bip: "10.232.18.1/24" }, newRoot(), 2);
  const cycle = async (): Promise<void> => {
    await manager.openContainer({ id: "c", ports: [tcp(80), udp(80)] });
    manager.close("c");
    await manager.idle();
  };
  await cycle();
  await new Promise(setImmediate);
  const before = traces(host.directory).sockets;
  for (let i = 0; i < 5; i++) await cycle();
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.ok(traces(host.directory).sockets <= before, `${traces(host.directory).sockets} > ${before}`);
});
