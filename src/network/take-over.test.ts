import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../../test/helpers/process.ts";
import { RouteSocket } from "../linux/rtnetlink.ts";
import { clean, ended, host, newRoot, open, rejects, started } from "./manager.fixture.ts";
import { ask, flushRuleset, serve, tcp, testManager, traces, tryPort } from "./network.fixture.ts";

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

test("a port that somebody took on one family is held on the other, and on both when it is free", async (t) => {
  const root = newRoot();
  const config = { bridge: "gt-manV", bip: "10.232.33.1/24" };
  await killedManager(root, config);
  const thief = createServer().listen({ port: 8150, host: "::", ipv6Only: true });
  t.after(() => void thief.close());
  await once(thief, "listening");
  const manager = testManager(root, config);
  t.after(() => ended(manager));
  await manager.restore((id) => id === "living");
  assert.equal(await tryPort("0.0.0.0", 8150), "EADDRINUSE");
  thief.close();
  await once(thief, "close");
  const isHeld = async (): Promise<boolean> => (await tryPort("::", 8150)) === "EADDRINUSE";
  await eventually(isHeld, { timeoutMs: 60_000, what: "the port to be held again" });
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
