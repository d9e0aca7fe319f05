/** The firewall beside others: flushed, changed, dropped by another one, and with an administrator's own rules. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { NetworkConfig } from "./network-config.ts";
import {
  ask,
  askBriefly,
  becomePretendHost,
  hostAddress,
  inside,
  leavePretendHost,
  outsideAddress,
  serve,
  tcp,
  type TestManager,
  testManager,
  traces,
} from "./network.fixture.ts";
import { parseChain } from "./user-rules.ts";

const host = becomePretendHost();
const clean = traces(host.directory);
after(() => leavePretendHost(host));

/** Somebody else's nft: what this process does itself is known to it. */
const nft = (commands: string): string =>
  execFileSync("nft", ["-f", "-"], { input: commands, encoding: "utf8" });
const listed = (...what: string[]): string => execFileSync("nft", ["list", ...what], { encoding: "utf8" });
const newRoot = (): string => mkdtempSync(join(host.directory, "root-"));

const openContainers = (manager: TestManager): string[] =>
  Object.keys(manager.inspect("bridge").Containers ?? {});

async function ended(manager: TestManager): Promise<void> {
  for (const id of openContainers(manager)) manager.close(id);
  await manager.shutdown({ removeAll: true });
  const left = traces(host.directory);
  assert.deepEqual([left.links, left.tables, left.mounts], [clean.links, clean.tables, clean.mounts]);
}

type Cleanup = { after(work: () => unknown): void };
async function started(t: Cleanup, config: Partial<NetworkConfig>, root = newRoot()): Promise<TestManager> {
  const manager = testManager(root, config);
  t.after(() => ended(manager));
  await manager.restore(() => false);
  return manager;
}

async function becomes<T>(wanted: T, look: () => Promise<T> | T, what: string): Promise<void> {
  const end = performance.now() + 30_000;
  for (let seen = await look(); seen !== wanted; seen = await look()) {
    if (performance.now() > end) assert.equal(seen, wanted, what);
    await delay(20);
  }
}

const reached = async (port: number, address = hostAddress): Promise<boolean> =>
  (await askBriefly(host.outside, address, port)) !== undefined;

test("a flushed ruleset, a flushed table, a deleted rule and a deleted element come back by themselves", async (t) => {
  const manager = await started(t, { bridge: "gt-gua0", bip: "10.202.10.1/24" });
  const { netns } = await manager.openContainer({ ports: [tcp(80, 8160)] });
  await serve(netns, 80, "here");
  await becomes(true, () => reached(8160), "reached");
  const whole = listed("table", "inet", "gantry-gt-gua0");
  for (const harm of [
    "flush ruleset",
    "flush table inet gantry-gt-gua0",
    "delete table inet gantry-gt-gua0",
    "flush chain inet gantry-gt-gua0 forward",
    "delete element inet gantry-gt-gua0 ports4 { tcp . 8160 }",
    'add rule inet gantry-gt-gua0 forward oifname "gt-gua0" accept',
  ]) {
    nft(harm);
    await becomes(
      whole,
      () => (tablesNow().includes("gantry-gt-gua0") ? listed("table", "inet", "gantry-gt-gua0") : ""),
      harm,
    );
  }
  await becomes(true, () => reached(8160), "reached");
});

const tablesNow = (): string => execFileSync("nft", ["list", "tables"], { encoding: "utf8" });

test("by hand, too: what a reload of the daemon asks for", async (t) => {
  const manager = await started(t, { bridge: "gt-gua1", bip: "10.202.11.1/24" });
  const before = listed("table", "inet", "gantry-gt-gua1");
  manager.repair();
  assert.equal(listed("table", "inet", "gantry-gt-gua1"), before);
});

test("the administrator's rules come first, and stay over flushes and restarts", async (t) => {
  const root = newRoot();
  const config = { bridge: "gt-gua2", bip: "10.202.12.1/24" };
  const rule = `add rule inet gantry-gt-gua2 user iifname "wire" ip saddr ${outsideAddress} drop`;
  const kept = (): string[] => parseChain(listed("chain", "inet", "gantry-gt-gua2", "user"));
  {
    const first = testManager(root, config);
    await first.restore(() => false);
    const { netns } = await first.openContainer({ ports: [tcp(80, 8161)] });
    const server = await serve(netns, 80, "here");
    await becomes(true, () => reached(8161), "reached");
    nft(rule);
    assert.equal(await reached(8161), false);
    nft("flush ruleset");
    await becomes(1, () => (tablesNow().includes("gt-gua2") ? kept().length : 0), "the rule is there again");
    assert.equal(await reached(8161), false);
    // A new bridge, a published port: the table is changed, the rule stays.
    await first.openContainer({ ports: [tcp(80, 8162)] });
    assert.equal(kept().length, 1);
    server.close();
    await ended(first);
  }
  const second = await started(t, config, root);
  assert.deepEqual(kept(), [`iifname "wire" ip saddr ${outsideAddress} drop`]);
  const { netns } = await second.openContainer({ ports: [tcp(80, 8161)] });
  await serve(netns, 80, "here");
  assert.equal(await reached(8161), false);
  nft("flush chain inet gantry-gt-gua2 user");
  await becomes(true, () => reached(8161), "without the rule");
  // An accept ends our own rules: here, it opens what is not published.
  const { endpoints } = second.get(openContainers(second)[0]!)!;
  inside(host.outside, "ip", "route", "replace", "10.202.12.0/24", "via", hostAddress);
  assert.equal(await reached(80, endpoints[0]!.ipv4Address), false);
  nft('add rule inet gantry-gt-gua2 user iifname "wire" accept');
  await becomes(true, () => reached(80, endpoints[0]!.ipv4Address), "reached");
});

test("a rule that cannot be written any more does not keep the network away", async (t) => {
  const root = newRoot();
  const config = { bridge: "gt-gua3", bip: "10.202.13.1/24" };
  const first = testManager(root, config);
  await first.restore(() => false);
  nft(
    "add set inet gantry-gt-gua3 mine { type ipv4_addr; }\nadd rule inet gantry-gt-gua3 user ip saddr @mine drop",
  );
  // The set is no part of ours: the table is written again without it.
  await becomes(
    false,
    () => listed("table", "inet", "gantry-gt-gua3").includes("set mine"),
    "the set is gone",
  );
  assert.deepEqual(parseChain(listed("chain", "inet", "gantry-gt-gua3", "user")), []);
  await ended(first);
  const second = await started(t, config, root);
  assert.notEqual((await second.openContainer()).path, "");
});

test("beside firewalls that drop what is forwarded, those there before and those that come", async (t) => {
  const drop = (family: string, table: string): string =>
    `table ${family} ${table} { chain FORWARD { type filter hook forward priority 0; policy drop; }; }`;
  nft(drop("ip", "gt-before"));
  t.after(() => nft("delete table ip gt-before"));
  const config = { bridge: "gt-gua4", bip: "10.202.14.1/24" };
  const root = newRoot();
  const manager = testManager(root, config);
  await manager.restore(() => false);
  const { netns } = await manager.openContainer({ ports: [tcp(80, 8163)] });
  await serve(netns, 80, "here");
  const outsideServer = await serve(host.outside, 7000, "world");
  await becomes(true, () => reached(8163), "reached");
  assert.notEqual(await ask(netns, outsideAddress, 7000), undefined);
  nft(drop("inet", "gt-later"));
  await becomes(true, () => reached(8163), "the later firewall lets our bridge through");
  assert.notEqual(await ask(netns, outsideAddress, 7000), undefined);
  // That firewall is loaded anew, as by its own service.
  nft(`delete table inet gt-later\n${drop("inet", "gt-later")}`);
  await becomes(true, () => reached(8163), "after a reload of the other firewall");
  // What is nobody's business of ours stays dropped, and containers' own addresses are no way in.
  assert.match(listed("chain", "inet", "gt-later", "FORWARD"), /policy drop;\s+[io]ifname "gt-gua4" accept/);
  inside(host.outside, "ip", "route", "replace", "10.202.14.0/24", "via", hostAddress);
  assert.equal(await askBriefly(host.outside, "10.202.14.2", 80), undefined);
  outsideServer.close();
  for (const id of openContainers(manager)) manager.close(id);
  await manager.shutdown({ removeAll: true });
  for (const [family, table] of [
    ["ip", "gt-before"],
    ["inet", "gt-later"],
  ] as const)
    assert.doesNotMatch(listed("chain", family, table, "FORWARD"), /accept/);
  nft("delete table inet gt-later");
});

/** What firewalld 1.3 writes: the policy accepts, the last rules reject; also in a reload, all of it in one transaction. */
const firewalld = `table inet firewalld {
  chain filter_PREROUTING {
    type filter hook prerouting priority filter + 10; policy accept;
    meta nfproto ipv6 fib saddr . mark . iif oif missing drop
  }
  chain filter_FORWARD {
    type filter hook forward priority filter + 10; policy accept;
    ct state established,related accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    jump filter_FORWARD_ZONES
    reject with icmpx admin-prohibited
  }
  chain filter_FORWARD_ZONES {
  }
}`;

test("beside firewalld, and over its reload", async (t) => {
  nft(firewalld);
  t.after(() => nft("delete table inet firewalld"));
  const manager = await started(t, { bridge: "gt-gua5", bip: "10.202.15.1/24" });
  const { netns } = await manager.openContainer({ ports: [tcp(80, 8164)] });
  await serve(netns, 80, "here");
  const outsideServer = await serve(host.outside, 7001, "world");
  t.after(() => outsideServer.close());
  await becomes(true, () => reached(8164), "reached");
  assert.notEqual(await ask(netns, outsideAddress, 7001), undefined);
  nft(`delete table inet firewalld\n${firewalld}`);
  await becomes(
    true,
    async () => (await askBriefly(netns, outsideAddress, 7001)) !== undefined,
    "the way out after firewalld was reloaded",
  );
  await becomes(true, () => reached(8164), "reached");
});
