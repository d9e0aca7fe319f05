/** Bridges in firewalld's zone, with a firewall-cmd of our own that does to its table what the real one does. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { host, newRoot } from "./manager.fixture.ts";
import { testManager } from "./network.fixture.ts";

const nft = (commands: string): string =>
  execFileSync("nft", ["-f", "-"], { input: commands, encoding: "utf8" });

const firewallCmd = (state: string): string => `#!/bin/sh
cd ${state}
echo "$*" >>log
if [ -e stopped ]; then rm stopped; echo "FirewallD is not running" >&2; exit 252; fi
for option; do
  case $option in
    --get-zones) cat zones ;;
    --get-policies) cat policies ;;
    --new-zone=*) echo "\${option#*=}" >>zones ;;
    --new-policy=*) echo "\${option#*=}" >>policies ;;
    --change-interface=*) nft add rule inet firewalld filter_INPUT_ZONES iifname "\${option#*=}" accept ;;
    --remove-interface=*)
      handle=$(nft -a list chain inet firewalld filter_INPUT_ZONES | sed -n "s/.*\\"\${option#*=}\\".*handle //p")
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

test("bridges are in firewalld's zone from their start to their end, also when it is loaded anew", async (t) => {
  const state = mkdtempSync(join(host.directory, "firewalld-"));
  const path = process.env["PATH"] ?? "";
  writeFileSync(join(state, "firewall-cmd"), firewallCmd(state), { mode: 0o755 });
  writeFileSync(join(state, "zones"), "public trusted\n");
  writeFileSync(join(state, "policies"), "allow-host-ipv6\n");
  process.env["PATH"] = `${state}:${path}`;
  t.after(() => {
    process.env["PATH"] = path;
    nft("table inet firewalld { }\ndelete table inet firewalld");
    rmSync(state, { recursive: true });
  });
  const calls = (): string[] => readFileSync(join(state, "log"), "utf8").trim().split("\n");
  const manager = testManager(newRoot(), { bridge: "gt-fwd0", bip: "10.202.20.1/24" });
  t.after(() => manager.shutdown({ removeAll: true }));
  // It comes when we are there, and is not ready at once.
  writeFileSync(join(state, "stopped"), "");
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
