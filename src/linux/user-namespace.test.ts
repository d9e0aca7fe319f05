import assert from "node:assert/strict";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import { freeRange, holdNamespaces, subordinateRange } from "./user-namespace.ts";

test("ranges of subordinate ids", () => {
  const text = "alpha:100000:65536\n1001:165536:1000\nbroken:x:1\nalpha:300000:5\n";
  assert.deepEqual(subordinateRange(text, ["alpha", "1000"]), { first: 100_000, size: 65_536 });
  assert.deepEqual(subordinateRange(text, ["beta", "1001"]), { first: 165_536, size: 1000 });
  assert.equal(subordinateRange(text, ["broken", "7"]), undefined);
  assert.deepEqual(freeRange(text), { first: 300_005, size: 65_536 });
  assert.deepEqual(freeRange(""), { first: 100_000, size: 65_536 });
});

test("namespaces are held as long as their holder", async () => {
  const map = { uids: { first: 200_000, size: 1000 }, gids: { first: 300_000, size: 1000 } };
  let pid: number;
  {
    await using holder = await holdNamespaces(map);
    pid = holder.pid;
    assert.match(readFileSync(`/proc/${pid}/uid_map`, "utf8"), /^\s*0\s+200000\s+1000$/m);
    assert.match(readFileSync(`/proc/${pid}/gid_map`, "utf8"), /^\s*0\s+300000\s+1000$/m);
    for (const name of ["user", "net"])
      assert.notEqual(readlinkSync(`/proc/${pid}/ns/${name}`), readlinkSync(`/proc/self/ns/${name}`));
  }
  assert.equal(existsSync(`/proc/${pid}`), false);
});
