/** Bridges in firewalld's zone, with a firewall-cmd of our own that does to its table what the real one does. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { openDatabase } from "../base/database.ts";
import { Firewalld } from "./firewalld.ts";
import { ZoneLeftovers } from "./zone-leftovers.ts";
import { host, newRoot, rejects, started } from "./manager.fixture.ts";
import { testManager } from "./network.fixture.ts";

const nft = (commands: string): string =>
  execFileSync("nft", ["-f", "-"], { input: commands, encoding: "utf8" });

/** What firewalld keeps (`kept`) and what it goes by (`used`) are two places: a file for each zone and policy. */
const firewallCmd = (state: string): string => `#!/bin/sh
cd ${state}
echo "$*" >>log
while [ -e held ]; do sleep 0.05; done
if [ -e stopped ]; then rm stopped; echo "FirewallD is not running" >&2; exit 252; fi
if [ -e down ]; then echo "FirewallD is not running" >&2; exit 252; fi
if [ -e broken ]; then echo "env: 'firewall-cmd': No such file or directory" >&2; exit 127; fi
place=used
for option; do
  value=\${option#*=}
  case $option in
    --permanent) place=kept ;;
    --reload) rm -rf used; cp -r kept used ;;
    --get-policies) ls $place ;;
    --new-zone=*|--new-policy=*)
      if [ -e $place/$value ]; then echo "Error: NAME_CONFLICT: $value" >&2; exit 26; fi
      : >$place/$value
      if [ -e cut-off ]; then rm cut-off; exit 1; fi ;;
    --zone=*|--policy=*) name=$value ;;
    --set-target=*) echo "  target: $value" >>$place/$name ;;
    --info-zone=*|--info-policy=*) cat $place/$value 2>&- || exit 112 ;;
    --change-interface=*) nft add rule inet firewalld filter_INPUT_ZONES iifname "$value" accept ;;
    --remove-interface=*)
      handle=$(nft -a list chain inet firewalld filter_INPUT_ZONES | sed -n "s/.*\\"$value\\".*handle //p")
      nft delete rule inet firewalld filter_INPUT_ZONES handle $handle ;;
  esac
done
`;

const table = `table inet firewalld {
  chain filter_INPUT { type filter hook input priority filter + 10; policy accept; jump filter_INPUT_ZONES; }
  chain filter_INPUT_ZONES { }
}`;

const inZones = (): string[] =>
  [
    ...execFileSync("nft", ["list", "chain", "inet", "firewalld", "filter_INPUT_ZONES"], {
      encoding: "utf8",
    }).matchAll(/iifname "([^"]+)"/g),
  ].map(([, device]) => device!);

async function becomesInZones(devices: readonly string[], what: string): Promise<void> {
  const end = performance.now() + 60_000;
  while (inZones().toSorted().join() !== devices.toSorted().join()) {
    assert.ok(performance.now() < end, `${what}: ${inZones().join()}`);
    await delay(50);
  }
}

interface FakeFirewalld {
  calls(): string[];
  set(what: "held" | "stopped" | "down" | "broken" | "cut-off"): void;
  unset(what: "held" | "down" | "broken"): void;
}

/** Puts a firewall-cmd first in PATH until the test ends. */
function fakeFirewalld(t: { after(work: () => void): void }): FakeFirewalld {
  const state = mkdtempSync(join(host.directory, "firewalld-"));
  const path = process.env["PATH"] ?? "";
  writeFileSync(join(state, "firewall-cmd"), firewallCmd(state), { mode: 0o755 });
  for (const place of ["kept", "used"]) mkdirSync(join(state, place));
  process.env["PATH"] = `${state}:${path}`;
  t.after(() => {
    process.env["PATH"] = path;
    nft("table inet firewalld { }\ndelete table inet firewalld");
    rmSync(state, { recursive: true });
  });
  return {
    calls() {
      const log = join(state, "log");
      return existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : [];
    },
    set: (what) => writeFileSync(join(state, what), ""),
    unset: (what) => rmSync(join(state, what)),
  };
}

async function becomes(isSo: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 60_000;
  while (!isSo()) {
    assert.ok(performance.now() < end, what);
    await delay(20);
  }
}

test("bridges are in firewalld's zone from their start to their end, also when it is loaded anew", async (t) => {
  const firewalld = fakeFirewalld(t);
  const calls = (): string[] => firewalld.calls();
  const manager = testManager(newRoot(), { bridge: "gt-fwd0", bip: "10.202.20.1/24" });
  t.after(() => manager.shutdown({ removeAll: true }));
  // It comes when we are there, and is not ready at once.
  firewalld.set("stopped");
  await manager.restore(() => false);
  nft(table);
  await becomesInZones(["gt-fwd0"], "firewalld came");
  assert.ok(calls().includes("--permanent --zone=docker --set-target=ACCEPT"));
  assert.ok(calls().includes("--permanent --policy=docker-forwarding --add-egress-zone=docker"));
  const { id } = await manager.create({
    Name: "more",
    Options: { "com.docker.network.bridge.name": "gt-fwd1" },
  });
  assert.deepEqual(inZones(), ["gt-fwd0", "gt-fwd1"]);
  nft(`delete table inet firewalld\n${table}`);
  await becomesInZones(["gt-fwd0", "gt-fwd1"], "it was loaded anew");
  // What the administrator has put somewhere stays there.
  nft(
    'flush chain inet firewalld filter_INPUT_ZONES\nadd rule inet firewalld filter_INPUT_ZONES iifname "gt-*" drop',
  );
  await manager.remove(id);
  assert.equal(calls().filter((call) => call === "--reload").length, 1);
  nft(`delete table inet firewalld\n${table}`);
  await becomesInZones(["gt-fwd0"], "after a network was removed");
  await manager.shutdown({ removeAll: true });
  assert.deepEqual(inZones(), []);
});

const quick = { startTimeoutMs: 0, firstDelayMs: 10, longestDelayMs: 20, settleTimeoutMs: 60_000 };
const accepting = "--permanent --zone=docker --set-target=ACCEPT";

test("a zone that a daemon was cut off from while it made it is finished by the next", async (t) => {
  const firewalld = fakeFirewalld(t);
  nft(table);
  const first = new Firewalld({ ...quick, firstDelayMs: 3_600_000, longestDelayMs: 3_600_000 });
  firewalld.set("cut-off");
  first.sync(["gt-fwd2"]);
  await first.settled();
  assert.ok(!firewalld.calls().includes(accepting));
  const second = new Firewalld(quick);
  second.sync(["gt-fwd2"]);
  await becomesInZones(["gt-fwd2"], "the next daemon");
  assert.ok(firewalld.calls().includes(accepting));
  await second.settled();
  assert.equal(firewalld.calls().filter((call) => call === "--reload").length, 1);
  second.sync([]);
  await second.settled();
});

test("a zone that firewalld was loaded with before it was finished gets its target", async (t) => {
  const firewalld = fakeFirewalld(t);
  nft(table);
  for (const place of [[], ["--permanent"]])
    execFileSync("firewall-cmd", [...place, "--new-zone=docker"], { encoding: "utf8" });
  const bridges = new Firewalld(quick);
  bridges.sync(["gt-fwd3"]);
  await becomesInZones(["gt-fwd3"], "with its target");
  assert.ok(firewalld.calls().includes(accepting));
  await bridges.settled();
  // Made for good, and not loaded.
  nft(`delete table inet firewalld\n${table}`);
  const reloads = (): number => firewalld.calls().filter((call) => call === "--reload").length;
  assert.equal(reloads(), 1);
  bridges.sync(["gt-fwd3"]);
  await becomesInZones(["gt-fwd3"], "again");
  await bridges.settled();
  assert.equal(reloads(), 1);
  bridges.sync([]);
  await bridges.settled();
});

for (const trouble of ["down", "broken"] as const)
  test(`a firewalld that was ${trouble} for long gets the bridges when it is well again`, async (t) => {
    const firewalld = fakeFirewalld(t);
    nft(table);
    firewalld.set(trouble);
    const bridges = new Firewalld(quick);
    bridges.sync(["gt-fwd4"]);
    await becomes(() => firewalld.calls().length > 6, "it is tried again");
    assert.deepEqual(inZones(), []);
    firewalld.unset(trouble);
    await becomesInZones(["gt-fwd4"], "well again");
    await bridges.settled();
    bridges.sync([]);
    await bridges.settled();
  });

test("a firewalld that takes its time is not waited for, and told all the same", async (t) => {
  const firewalld = fakeFirewalld(t);
  nft(table);
  firewalld.set("held");
  const bridges = new Firewalld({ ...quick, settleTimeoutMs: 10 });
  bridges.sync(["gt-fwd8"]);
  await bridges.settled();
  assert.deepEqual(inZones(), []);
  firewalld.unset("held");
  await becomesInZones(["gt-fwd8"], "told");
  bridges.sync([]);
  await becomesInZones([], "at the end");
});

test("while firewalld fails, changes on the host start no process each", async (t) => {
  const firewalld = fakeFirewalld(t);
  nft(table);
  firewalld.set("broken");
  const bridges = new Firewalld({ ...quick, firstDelayMs: 3_600_000, longestDelayMs: 3_600_000 });
  bridges.sync(["gt-fwd5"]);
  await bridges.settled();
  const before = firewalld.calls().length;
  assert.ok(before > 0);
  for (let change = 0; change < 40; change++) {
    bridges.sync(["gt-fwd5"]);
    await bridges.settled();
  }
  assert.equal(firewalld.calls().length, before);
  bridges.sync([]);
  await bridges.settled();
});

/** As after `kill -9`: what it would have tried again later it does not. */
const cutOff = { ...quick, firstDelayMs: 3_600_000, longestDelayMs: 3_600_000 };

test("a bridge that went while firewalld was silent is taken out of the zone by the next daemon", async (t) => {
  const firewalld = fakeFirewalld(t);
  nft(table);
  const database = openDatabase(join(newRoot(), "test.db"));
  t.after(() => database.close());
  const first = new Firewalld(cutOff, new ZoneLeftovers(database));
  first.sync(["gt-fwd9", "gt-fwda"]);
  await first.settled();
  assert.deepEqual(inZones(), ["gt-fwd9", "gt-fwda"]);
  assert.deepEqual(new ZoneLeftovers(database).read(), []);
  firewalld.set("down");
  first.sync(["gt-fwd9"]);
  await first.settled();
  assert.deepEqual(new ZoneLeftovers(database).read(), ["gt-fwda"]);
  firewalld.unset("down");
  const second = new Firewalld(quick, new ZoneLeftovers(database));
  second.sync(["gt-fwd9"]);
  await second.settled();
  assert.deepEqual(inZones(), ["gt-fwd9"]);
  assert.deepEqual(new ZoneLeftovers(database).read(), []);
  second.sync([]);
  await second.settled();
  assert.deepEqual(inZones(), []);
});

test("a network that goes while firewalld is away is noted before its record goes", async (t) => {
  const firewalld = fakeFirewalld(t);
  nft(table);
  const manager = await started(t, { bridge: "gt-fwdc", bip: "10.202.22.1/24" });
  const options = { "com.docker.network.bridge.name": "gt-fwdd" };
  const { id } = await manager.create({ Name: "noted", Options: options });
  assert.deepEqual(inZones(), ["gt-fwdc", "gt-fwdd"]);
  firewalld.set("down");
  await manager.remove(id);
  assert.deepEqual(new ZoneLeftovers(manager.database).read(), ["gt-fwdd"]);
  firewalld.unset("down");
  await becomesInZones(["gt-fwdc"], "well again");
  await becomes(() => new ZoneLeftovers(manager.database).read().length === 0, "nothing is left to do");
});

test("the last bridge of a daemon that has no other goes from the zone when firewalld is well again", async (t) => {
  const firewalld = fakeFirewalld(t);
  nft(table);
  const bridges = new Firewalld(quick);
  bridges.sync(["gt-fwdb"]);
  await becomesInZones(["gt-fwdb"], "at first");
  await bridges.settled();
  firewalld.set("down");
  bridges.sync([]);
  await bridges.settled();
  assert.deepEqual(inZones(), ["gt-fwdb"]);
  firewalld.unset("down");
  await becomesInZones([], "well again");
});

test("a network that is removed while firewalld is told of it is not there", async (t) => {
  const firewalld = fakeFirewalld(t);
  const manager = await started(t, { bridge: "gt-fwd6", bip: "10.202.21.1/24" });
  nft(table);
  await becomesInZones(["gt-fwd6"], "firewalld came");
  firewalld.set("held");
  const before = firewalld.calls().length;
  const making = manager.create({
    Name: "brief",
    Options: { "com.docker.network.bridge.name": "gt-fwd7" },
  });
  const refused = rejects(making, "conflict", /network brief was removed while it was being made/);
  await becomes(() => firewalld.calls().length > before, "firewalld is asked");
  const removing = manager.remove("brief");
  const isThere = (): boolean => manager.list().some(({ Name }) => Name === "brief");
  await becomes(() => !isThere(), "it is removed");
  firewalld.unset("held");
  await Promise.all([refused, removing]);
  assert.ok(!isThere());
  await becomesInZones(["gt-fwd6"], "when it was removed");
});
