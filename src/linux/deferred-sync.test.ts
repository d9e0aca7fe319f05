import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { EngineError, isKind } from "../base/errors.ts";
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

const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
const refused = (error: unknown): boolean => isKind(error, "unavailable");

test("what the disk did not take stays marked as lost, until it is made anew", async () => {
  let isBroken = true;
  let writes = 0;
  const write = async (): Promise<void> => {
    writes += 1;
    if (isBroken) throw new EngineError("internal", "input/output error");
  };
  const sync = new DeferredSync(directory, write);
  sync.mark("a");
  sync.mark("b");
  await assert.rejects(sync.require(["a"]), /could not write a to disk: input\/output error/);
  // The kernel told it once; from now on it says that all is well.
  isBroken = false;
  sync.mark("c");
  await sync.flush();
  assert.deepEqual(readdirSync(directory).toSorted(), ["a", "b"]);
  await sync.require(["c", "never marked"]);
  await assert.rejects(sync.require(["c", "b"]), refused);
  assert.equal(sync.isLost("a"), true);
  assert.equal(sync.written("a", sync.markOf("a")!), true);
  assert.deepEqual(readdirSync(directory).toSorted(), ["a", "b"]);
  assert.equal(writes, 2);

  // Another process of this boot believes it too, and does not take it for a suspect: something may be in use.
  const next = new DeferredSync(directory, write);
  assert.deepEqual(next.suspects(), []);
  await next.flush();
  await assert.rejects(next.require(["a"]), refused);
  assert.deepEqual(
    readdirSync(directory).map((name) => readlinkSync(join(directory, name))),
    [`lost-${boot}`, `lost-${boot}`],
  );
  next.mark("a");
  assert.equal(readlinkSync(join(directory, "a")), boot);
  next.forget("b");
  await next.require(["a", "b"]);
  assert.deepEqual(readdirSync(directory), []);
});

test("after a boot what was lost is a suspect", () => {
  mkdirSync(directory);
  symlinkSync("lost-another-boot", join(directory, "a"));
  assert.deepEqual(new DeferredSync(directory).suspects(), ["a"]);
});

test("what could not be tried is not lost, and is tried again by itself", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const sync = new DeferredSync(directory, async () => {});
  sync.mark("a");
  // In the way of opening the directory, which is what no descriptors do.
  const away = `${directory}.away`;
  renameSync(directory, away);
  symlinkSync(directory, directory);
  await assert.rejects(sync.require(["a"]), refused);
  assert.equal(sync.isLost("a"), false);
  rmSync(directory);
  renameSync(away, directory);
  t.mock.timers.tick(30_000);
  await new Promise(setImmediate);
  assert.deepEqual(readdirSync(directory), []);
});

test("marks that never end do not keep the disk from being written to", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let writes = 0;
  const sync = new DeferredSync(directory, async () => {
    writes += 1;
  });
  for (let ms = 0; ms < 29_500; ms += 500) {
    sync.mark(`mark-${ms}`);
    t.mock.timers.tick(500);
  }
  await new Promise(setImmediate);
  assert.equal(writes, 0);
  sync.mark("last");
  t.mock.timers.tick(500);
  await new Promise(setImmediate);
  assert.equal(writes, 1);
  assert.deepEqual(readdirSync(directory), []);
  // And from anew.
  sync.mark("more");
  t.mock.timers.tick(999);
  await new Promise(setImmediate);
  assert.equal(writes, 1);
  t.mock.timers.tick(1);
  await new Promise(setImmediate);
  assert.equal(writes, 2);
});
