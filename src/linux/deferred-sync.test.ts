import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { DeferredSync } from "./deferred-sync.ts";

let directory = "";
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), "gantry-sync-")), "unsynced");
});
afterEach(() => rmSync(join(directory, ".."), { recursive: true }));

test("a mark is there until all is on the disk", async () => {
  const sync = new DeferredSync(directory);
  sync.mark("a");
  sync.mark("a");
  assert.deepEqual(readdirSync(directory), ["a"]);
  assert.match(readlinkSync(join(directory, "a")), /^[0-9a-f-]{36}$/);
  await sync.flush();
  assert.deepEqual(readdirSync(directory), []);
  assert.deepEqual(sync.suspects(), []);
});

test("marks of a process that died in this boot are no suspects, those of another boot are", async () => {
  new DeferredSync(directory).mark("mine");
  symlinkSync("another-boot", join(directory, "other"));
  const next = new DeferredSync(directory);
  assert.deepEqual(next.suspects(), ["other"]);
  next.forget("other");
  await next.flush();
  assert.deepEqual(readdirSync(directory), []);
});

test("who writes a thing to disk himself takes its mark away, unless it was marked anew meanwhile", () => {
  const sync = new DeferredSync(directory);
  assert.equal(sync.markOf("a"), undefined);
  sync.mark("a");
  const first = sync.markOf("a")!;
  sync.mark("a");
  assert.equal(sync.written("a", first), false);
  assert.deepEqual(readdirSync(directory), ["a"]);
  assert.equal(sync.written("a", sync.markOf("a")!), true);
  assert.deepEqual(readdirSync(directory), []);
  // Somebody else was there first.
  assert.equal(sync.written("a", first), true);
});
