import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import { type EngineError, type ErrorKind, isKind } from "../base/errors.ts";
import { RouteSocket } from "../linux/rtnetlink.ts";
import type { NetworkConfig } from "./network-config.ts";
import {
  ask,
  becomePretendHost,
  flushRuleset,
  inside,
  leavePretendHost,
  serve,
  tcp,
  type TestManager,
  testManager,
  traces,
  udp,
} from "./network.fixture.ts";

const host = becomePretendHost();
const clean = traces(host.directory);
after(() => leavePretendHost(host));

type Cleanup = { after(work: () => unknown): void };
const newRoot = (): string => mkdtempSync(join(host.directory, "root-"));
const open = (manager: TestManager): string[] => Object.keys(manager.inspect("bridge").Containers ?? {});

/** Ends a manager and looks for what it left. */
async function ended(manager: TestManager): Promise<void> {
  for (const id of open(manager)) manager.close(id);
  await manager.shutdown({ removeAll: true });
  const left = traces(host.directory);
  assert.deepEqual([left.links, left.tables, left.mounts], [clean.links, clean.tables, clean.mounts]);
}

async function started(
  t: Cleanup,
  config: Partial<NetworkConfig>,
  root = newRoot(),
  poolSize = 1,
): Promise<TestManager> {
  const manager = testManager(root, config, poolSize);
  t.after(() => ended(manager));
  await manager.restore(() => false);
  return manager;
}

const rejects = (work: Promise<unknown>, kind: ErrorKind, words: RegExp): Promise<void> =>
  assert.rejects(work, (error: EngineError) => {
    assert.match(error.message, words);
    return isKind(error, kind);
  });

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
  program.close();
  datagrams.close();
  assert.equal(open(manager).length, 2);
});

test("a published port is held against other programs until it is closed", async (t) => {
  const manager = await started(t, { bridge: "gt-man5", bip: "10.232.5.1/24" });
  await manager.openContainer({ id: "c", ports: [tcp(80, 8120)] });
  const attempt = (address: string): Promise<string> =>
    new Promise((resolve) => {
      const server = createServer();
      server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
      server.listen({ port: 8120, host: address, ipv6Only: true }, () => server.close(() => resolve("free")));
    });
  for (const address of ["0.0.0.0", "127.0.0.1", "::", "::1"])
    assert.equal(await attempt(address), "EADDRINUSE", address);
  manager.close("c");
  for (const address of ["0.0.0.0", "::"]) assert.equal(await attempt(address), "free", address);
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

test("a free pool is chosen, and kept when the host changes", async (t) => {
  execFileSync("ip", ["route", "add", "172.17.128.0/24", "via", "198.18.0.2"]);
  const root = newRoot();
  const first = testManager(root, { bridge: "gt-man9" });
  await first.restore(() => false);
  assert.equal(first.inspect("bridge").IPAM.Config?.[0]?.Subnet, "172.18.0.0/16");
  await first.shutdown({ removeAll: true });
  execFileSync("ip", ["route", "del", "172.17.128.0/24"]);
  const second = await started(t, { bridge: "gt-man9" }, root);
  assert.equal(second.inspect("bridge").IPAM.Config?.[0]?.Subnet, "172.18.0.0/16");
});

test("an administrator's bridge is used with its address, and stays", async (t) => {
  execFileSync("ip", ["link", "add", "gt-manA", "type", "bridge"]);
  t.after(() => execFileSync("ip", ["link", "del", "gt-manA"]));
  execFileSync("ip", ["addr", "add", "10.232.10.9/24", "dev", "gt-manA"]);
  const manager = testManager(newRoot(), { bridge: "gt-manA" });
  await manager.restore(() => false);
  assert.deepEqual(manager.inspect("bridge").IPAM.Config, [
    { Subnet: "10.232.10.0/24", Gateway: "10.232.10.9" },
  ]);
  await manager.openContainer({ id: "c" });
  manager.close("c");
  await manager.shutdown({ removeAll: true });
  using route = RouteSocket.open();
  assert.ok(route.link("gt-manA"));
});

test("settings that cannot work are refused", async () => {
  const refused = async (config: Partial<NetworkConfig>, kind: ErrorKind, words: RegExp): Promise<void> => {
    const manager = testManager(newRoot(), config);
    await rejects(
      manager.restore(() => false),
      kind,
      words,
    );
    await manager.shutdown({ removeAll: true });
  };
  await refused({ bridge: "gt-manB", bip: "10.232.11.0/24" }, "invalidArgument", /--bip 10\.232\.11\.0\/24/);
  await refused({ bridge: "gt-manB", bip: "10.232.11.1" }, "invalidArgument", /--bip/);
  await refused({ bridge: "gt-manB", bip: "10.232.11.1/31" }, "invalidArgument", /--bip/);
  await refused(
    { bridge: "gt-manB", bip: "10.232.11.1/24", fixedCidr: "10.9.0.0/16" },
    "invalidArgument",
    /--fixed-cidr/,
  );
  await refused({ bridge: 'x"; flush' }, "invalidArgument", /bridge name/);
  await refused({ bridge: "a-name-that-is-too-long" }, "invalidArgument", /bridge name/);
  await refused({ bridge: "wire" }, "conflict", /wire is there and is not a bridge/);
});

test("without a default bridge there are host and none", async () => {
  const manager = testManager(newRoot(), { bridge: "none" });
  await manager.restore(() => false);
  assert.deepEqual(
    manager.list().map(({ Name }) => Name),
    ["host", "none"],
  );
  await rejects(manager.openContainer(), "notFound", /network bridge not found/);
  await manager.open({ containerId: "n", containerName: "n", mode: "none", endpoints: [], ports: [] });
  manager.close("n");
  await manager.shutdown({ removeAll: true });
  assert.deepEqual(traces(host.directory).links, clean.links);
});

test("rules that somebody flushed are written again with the next published port", async (t) => {
  const manager = await started(t, { bridge: "gt-manC", bip: "10.232.12.1/24" });
  const first = await manager.openContainer({ ports: [tcp(80, 8140)] });
  await serve(first.netns, 80, "first");
  flushRuleset();
  const second = await manager.openContainer({ id: "second", ports: [tcp(80, 8141)] });
  await serve(second.netns, 80, "second");
  for (const [port, name] of [
    [8140, "first"],
    [8141, "second"],
  ] as const)
    assert.match((await ask(host.outside, "198.18.0.1", port)) ?? "", new RegExp(`^${name} 198.18.0.2`));
  flushRuleset();
  manager.close("second");
  assert.match((await ask(host.outside, "198.18.0.1", 8140)) ?? "", /^first 198.18.0.2/);
});

const child = `
const { testManager, tcp } = await import(process.argv[1]);
const [, , root, id, bridge, bip] = process.argv;
const manager = testManager(root, { bridge, bip }, 3);
await manager.restore(() => false);
try {
  const sandbox = await manager.openContainer({ id, ports: [tcp(80, 8150)] });
  await manager.openContainer({ id: "dead" });
  console.log(JSON.stringify(sandbox));
} catch (error) { console.log(JSON.stringify({ error: error.message })); }
setInterval(() => {}, 1000);
`;

/** Runs a manager in a process of its own, kills it when it has opened a container, and gives what it opened. */
async function killedManager(
  root: string,
  config: { bridge: string; bip: string },
  env: NodeJS.ProcessEnv = {},
): Promise<{ path: string; error?: string; endpoints: { ipv4Address: string }[] }> {
  const fixture = new URL("network.fixture.ts", import.meta.url).pathname;
  const args = ["--input-type=module", "-e", child, fixture, root, "living", config.bridge, config.bip];
  const daemon = spawn(process.execPath, args, { env: { ...process.env, ...env } });
  daemon.stderr.resume();
  const exit = once(daemon, "exit");
  const [line] = (await Promise.race([once(daemon.stdout, "data"), exit.then(() => ["{}"])])) as [Buffer];
  daemon.kill("SIGKILL");
  await exit;
  return JSON.parse(String(line)) as Awaited<ReturnType<typeof killedManager>>;
}

test("after kill -9 and a flushed ruleset a new daemon brings everything back", async (t) => {
  const root = newRoot();
  const config = { bridge: "gt-manD", bip: "10.232.13.1/24" };
  const opened = await killedManager(root, config);
  await serve(opened.path, 80, "living");
  const files = (): string[] => readdirSync(join(root, "netns"));
  assert.ok(files().length >= 3, "the living one, the dead one and warm ones");
  // What a daemon of another directory has is nobody else's business.
  execFileSync("ip", ["link", "add", "ve000000abcdef", "type", "bridge"]);
  t.after(() => execFileSync("ip", ["link", "del", "ve000000abcdef"]));
  flushRuleset();
  mkdirSync(join(root, "netns"), { recursive: true });
  writeFileSync(join(root, "netns", "half-made"), "");

  const manager = testManager(root, config, 1);
  await manager.restore((id) => id === "living");
  assert.equal(manager.get("living")?.path, opened.path);
  assert.equal(manager.get("dead"), undefined);
  assert.deepEqual(open(manager), ["living"]);
  assert.equal(files().length, 2, "the living one and one warm one");
  using route = RouteSocket.open();
  assert.equal(route.links().filter(({ name }) => /^ve\w{12}$/.test(name)).length, 3);
  for (const [netns, address] of [
    [undefined, "127.0.0.1"],
    [undefined, "::1"],
    [host.outside, "198.18.0.1"],
  ] as const)
    assert.match((await ask(netns, address, 8150)) ?? "", /^living /, address);
  await rejects(manager.openContainer({ ports: [tcp(80, 8150)] }), "conflict", /port is already allocated/);
  const other = await manager.openContainer({ id: "other" });
  assert.notEqual(other.endpoints[0]?.ipv4Address, opened.endpoints[0]?.ipv4Address);
  manager.close("living");
  manager.close("other");
  await manager.shutdown({ removeAll: true });
  const left = traces(host.directory);
  assert.deepEqual(
    [left.links, left.tables, left.mounts],
    [[...clean.links, "ve000000abcdef"], clean.tables, clean.mounts],
  );
});

test("a bridge that was deleted gets its containers back", async (t) => {
  const root = newRoot();
  const config = { bridge: "gt-manE", bip: "10.232.14.1/24" };
  const opened = await killedManager(root, config);
  await serve(opened.path, 80, "living");
  execFileSync("ip", ["link", "del", "gt-manE"]);
  const manager = testManager(root, config);
  t.after(() => ended(manager));
  await manager.restore((id) => id === "living");
  assert.match((await ask(undefined, "127.0.0.1", 8150)) ?? "", /^living /);
});

test("shutdown leaves what running containers need", async (t) => {
  const root = newRoot();
  const config = { bridge: "gt-manF", bip: "10.232.15.1/24" };
  const first = testManager(root, config);
  await first.restore(() => false);
  const sandbox = await first.openContainer({ id: "living", ports: [tcp(80, 8151)] });
  await serve(sandbox.netns, 80, "living");
  await first.shutdown({ removeAll: true });
  assert.match((await ask(undefined, "127.0.0.1", 8151)) ?? "", /^living /);
  const second = testManager(root, config);
  t.after(() => ended(second));
  await second.restore(() => true);
  assert.deepEqual(open(second), ["living"]);
});

for (const place of ["network-open-recorded", "network-open-published"])
  test(`a failure at ${place} undoes everything`, async (t) => {
    const root = newRoot();
    const config = { bridge: "gt-manG", bip: "10.232.16.1/24" };
    const { error } = await killedManager(root, config, { GANTRY_FAILPOINTS: `${place}=error` });
    assert.equal(error, `fail point ${place}`);
    const manager = testManager(root, config, 0);
    t.after(() => ended(manager));
    await manager.restore(() => true);
    assert.deepEqual(open(manager), []);
    assert.deepEqual(traces(host.directory).mounts, []);
  });

test("a power cut half-way through open leaves nothing after the next start", async (t) => {
  const root = newRoot();
  const config = { bridge: "gt-manH", bip: "10.232.17.1/24" };
  await killedManager(root, config, { GANTRY_FAILPOINTS: "network-open-published=exit" });
  const manager = await started(t, config, root, 0);
  assert.deepEqual(open(manager), []);
  assert.deepEqual(traces(host.directory).mounts, []);
  await manager.openContainer({ ports: [tcp(80, 8150)] });
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
