import assert from "node:assert/strict";
import { test } from "node:test";
import {
  capabilitySets,
  chooseCapabilities,
  defaultCapabilities,
  normalizeCapability,
  parseBoundingSet,
} from "./capabilities.ts";

const all = parseBoundingSet("CapBnd:\t000001ffffffffff\n");

test("the bounding set is read from the kernel's mask", () => {
  assert.equal(all.length, 41);
  assert.deepEqual(parseBoundingSet("CapEff:\tff\nCapBnd:\t0000000000000021\n"), ["CAP_CHOWN", "CAP_KILL"]);
});

test("add and drop follow Docker's rules", () => {
  const without = (...names: string[]) => defaultCapabilities.filter((name) => !names.includes(name));
  const table: { add?: string[]; drop?: string[]; names: readonly string[] }[] = [
    { names: defaultCapabilities },
    { add: ["net_admin"], names: [...defaultCapabilities, "CAP_NET_ADMIN"] },
    { add: ["CHOWN"], names: defaultCapabilities },
    { drop: ["CAP_CHOWN", "kill"], names: without("CAP_CHOWN", "CAP_KILL") },
    { drop: ["all"], names: [] },
    { add: ["NET_RAW"], drop: ["ALL"], names: ["CAP_NET_RAW"] },
    { add: ["ALL"], names: all },
    { add: ["ALL"], drop: ["SYS_ADMIN"], names: all.filter((name) => name !== "CAP_SYS_ADMIN") },
  ];
  for (const { add = [], drop = [], names } of table)
    assert.deepEqual(
      [...chooseCapabilities({ privileged: false, add, drop }, all).names].sort(),
      [...names].sort(),
      JSON.stringify({ add, drop }),
    );
});

test("nothing is given that the host lacks, and asking for it is told", () => {
  const host = all.filter((name) => name !== "CAP_SYS_RESOURCE" && name !== "CAP_KILL");
  const chosen = chooseCapabilities({ privileged: false, add: ["SYS_RESOURCE"], drop: [] }, host);
  assert.deepEqual(chosen.missing, ["CAP_SYS_RESOURCE"]);
  assert.ok(!chosen.names.includes("CAP_KILL") && !chosen.names.includes("CAP_SYS_RESOURCE"));
  assert.deepEqual(chooseCapabilities({ privileged: true, add: [], drop: [] }, host).names, host);
});

test("unknown names are refused", () => {
  assert.equal(normalizeCapability("cap_all"), "ALL");
  assert.throws(() => normalizeCapability("FLY"), { message: 'unknown capability: "CAP_FLY"' });
});

test("another user than root keeps the bounding set only", () => {
  assert.deepEqual(capabilitySets(["CAP_KILL"], 0).effective, ["CAP_KILL"]);
  const sets = capabilitySets(["CAP_KILL"], 5);
  assert.deepEqual([sets.bounding, sets.effective, sets.permitted], [["CAP_KILL"], [], []]);
});
