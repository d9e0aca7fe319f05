import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, test } from "node:test";
import { isKind } from "../base/errors.ts";
import { digestOf } from "../oci/digest.ts";
import { FsContentStore, type OpenPath } from "./fs-content-store.ts";

let root = "";
let store: FsContentStore;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "gantry-content-"));
  store = new FsContentStore(root);
});
afterEach(() => rmSync(root, { recursive: true }));

const leftovers = (): string[] => readdirSync(join(root, "ingest"));

test("what was written is read again, by its digest", async () => {
  const chunks = [Buffer.alloc(100_000, 1), Buffer.alloc(1, 2), Buffer.alloc(70_000, 3)];
  const blob = await store.ingest(Readable.from(chunks));
  assert.equal(blob.digest, digestOf(Buffer.concat(chunks)));
  assert.equal(blob.sizeBytes, 170_001);
  assert.ok(store.has(blob.digest));
  assert.deepEqual(store.info(blob.digest), blob);
  assert.deepEqual(store.list(), [blob]);
  assert.deepEqual(store.read(blob.digest), Buffer.concat(chunks));
  assert.deepEqual(Buffer.concat(await store.open(blob.digest).toArray()), Buffer.concat(chunks));
  assert.deepEqual(readFileSync(store.path(blob.digest)), Buffer.concat(chunks));
  assert.deepEqual(leftovers(), []);
  store.remove(blob.digest);
  store.remove(blob.digest);
  assert.equal(store.has(blob.digest), false);
});

test("other bytes or another length than announced leave nothing", async () => {
  const right = digestOf("right", "sha512");
  const cases: [string, { digest?: string; sizeBytes?: number }][] = [
    ["wrong", { digest: right }],
    ["right", { digest: right, sizeBytes: 4 }],
    ["right", { digest: right, sizeBytes: 6 }],
  ];
  for (const [text, expect] of cases) {
    await assert.rejects(store.ingest(text, expect), (error: unknown) => isKind(error, "invalidArgument"));
    assert.deepEqual(store.list(), []);
    assert.deepEqual(leftovers(), []);
  }
  assert.equal((await store.ingest("right", { digest: right, sizeBytes: 5 })).digest, right);
});

test("a source that fails leaves nothing, and the failure comes through", async () => {
  const source = Readable.from(
    (async function* () {
      yield Buffer.from("some");
      throw new Error("the line is down");
    })(),
  );
  await assert.rejects(store.ingest(source), /the line is down/);
  assert.deepEqual(leftovers(), []);
  assert.deepEqual(store.list(), []);
});

test("many writers of the same bytes at once all succeed", async () => {
  const data = Buffer.alloc(300_000, 7);
  const blobs = await Promise.all(Array.from({ length: 8 }, () => store.ingest(Readable.from([data]))));
  assert.equal(new Set(blobs.map((blob) => blob.digest)).size, 1);
  assert.equal(store.list().length, 1);
  assert.deepEqual(leftovers(), []);
});

test("sweep removes unfinished writes and nothing else", async () => {
  const blob = await store.ingest("kept");
  writeFileSync(join(root, "ingest", "half"), "ha");
  new FsContentStore(root).sweep();
  assert.deepEqual(leftovers(), []);
  assert.deepEqual(store.list(), [blob]);
});

test("blobs that were asked for are on the disk one by one, the others soon", async (t) => {
  // "Soon" is only when this test says so.
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const soon = new FsContentStore(root, "soon");
  const [one, two, three] = await Promise.all(["one", "two", "three"].map((text) => soon.ingest(text)));
  const marks = (): string[] => readdirSync(join(root, "unsynced")).toSorted();
  const markOf = (digest: string): string => digest.replace(":", "-");
  assert.deepEqual(marks(), [one!, two!, three!].map(({ digest }) => markOf(digest)).toSorted());
  await Promise.all([soon.persist([one!.digest, two!.digest]), soon.persist([one!.digest])]);
  assert.deepEqual(marks(), [markOf(three!.digest)]);
  // What is written again is marked again, unless it took the place of one on the disk.
  await Promise.all([soon.ingest("one"), soon.ingest("three")]);
  assert.deepEqual(marks(), [markOf(three!.digest)]);
  soon.remove(one!.digest);
  await soon.ingest("one");
  assert.deepEqual(marks(), [markOf(one!.digest), markOf(three!.digest)].toSorted());
  await assert.rejects(soon.persist([digestOf("nothing")]), (error: unknown) => isKind(error, "notFound"));
  await soon.idle();
  assert.deepEqual(marks(), []);
});

/** Errors for the next openings and writings of paths that end so. */
type Faults = { ending: string; step: "open" | "sync"; errno: [code: string, number: number] }[];

/** A store whose blobs go to the disk when they are asked for, with a disk and a kernel that refuse things. */
function faulty(faults: Faults, synced: string[] = []): FsContentStore {
  const fail = (path: string, step: "open" | "sync"): void => {
    const index = faults.findIndex((fault) => path.endsWith(fault.ending) && fault.step === step);
    const [fault] = index < 0 ? [] : faults.splice(index, 1);
    if (fault === undefined) return;
    const [code, number] = fault.errno;
    throw Object.assign(new Error(`${code}: ${step} ${path}`), { code, errno: -number });
  };
  return new FsContentStore(root, "soon", async (path): Promise<OpenPath> => {
    fail(path, "open");
    const file = await open(path, "r");
    return {
      sync: async () => {
        fail(path, "sync");
        await file.sync();
        synced.push(path.split("/").at(-2)!);
      },
      close: () => file.close(),
    };
  });
}

test("a blob or directory that cannot be opened to be written to disk stays, marked; the next try works", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  for (const errno of [["EMFILE", 24] as const, ["ENFILE", 23] as const, ["ENOMEM", 12] as const])
    for (const what of ["directory", "blob"]) {
      const faults: Faults = [];
      const soon = faulty(faults);
      const { digest } = await soon.ingest(`kept ${errno[0]} ${what}`);
      const hex = digest.split(":")[1]!;
      faults.push({ ending: what === "blob" ? hex : "/sha256", step: "open", errno: [...errno] });
      await assert.rejects(soon.persist([digest]), /^EngineError: write blob sha256:/);
      assert.ok(soon.has(digest));
      assert.ok(readdirSync(join(root, "unsynced")).includes(`sha256-${hex}`));
      await soon.persist([digest]);
      assert.deepEqual(readdirSync(join(root, "unsynced")), []);
      assert.ok(soon.has(digest));
    }
});

test("a blob that the disk does not take is removed, others of the batch are not", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  for (const errno of [["EIO", 5] as const, ["ENOSPC", 28] as const]) {
    const faults: Faults = [];
    const soon = faulty(faults);
    const lost = (await soon.ingest(`lost ${errno[0]}`)).digest;
    const kept = (await soon.ingest(`kept ${errno[0]}`)).digest;
    faults.push({ ending: lost.split(":")[1]!, step: "sync", errno: [...errno] });
    await assert.rejects(soon.persist([kept, lost]), new RegExp(`write blob ${lost} to disk`));
    assert.deepEqual([soon.has(lost), soon.has(kept)], [false, true]);
    await soon.persist([kept]);
    await assert.rejects(soon.persist([lost]), (error: unknown) => isKind(error, "notFound"));
    // Brought in again it is as any other.
    await soon.ingest(`lost ${errno[0]}`);
    await soon.persist([lost, kept]);
    assert.deepEqual(readdirSync(join(root, "unsynced")), []);
  }
});

test("what goes wrong in one batch is not told to the next", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const faults: Faults = [];
  const soon = faulty(faults);
  const { digest } = await soon.ingest("one");
  const hex = digest.split(":")[1]!;
  const mark = join(root, "unsynced", `sha256-${hex}`);
  // What a read-only disk does to the removal of a mark, and to that of a blob: a directory cannot be removed as a file.
  rmSync(mark);
  mkdirSync(mark);
  await assert.rejects(soon.persist([digest]), /write blob|EISDIR|is a directory/i);
  const blob = join(root, "blobs/sha256", hex);
  rmSync(blob);
  mkdirSync(blob);
  faults.push({ ending: hex, step: "sync", errno: ["EIO", 5] });
  await assert.rejects(soon.persist([digest]), /write blob/);
  for (const path of [mark, blob]) rmSync(path, { recursive: true });
  const two = (await soon.ingest("two")).digest;
  await soon.persist([two]);
  await soon.ingest("one");
  await soon.persist([digest, two]);
  assert.deepEqual(readdirSync(join(root, "unsynced")), []);
});

test("bytes that are not on the disk take no place of those that are", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const faults: Faults = [];
  const synced: string[] = [];
  const soon = faulty(faults, synced);
  const { digest } = await soon.ingest("old");
  const inode = (): number => statSync(soon.path(digest)).ino;
  await soon.persist([digest]);
  const old = inode();
  faults.push({ ending: "", step: "sync", errno: ["EIO", 5] });
  await assert.rejects(soon.ingest("old"), /store content/);
  assert.equal(inode(), old);
  assert.deepEqual(leftovers(), []);
  // Whoever loads a damaged blob again mends it; it is on the disk before it is there, and so is its name.
  writeFileSync(soon.path(digest), "bad");
  synced.length = 0;
  await soon.ingest("old");
  assert.deepEqual(synced, ["ingest", "blobs"]);
  assert.equal(soon.read(digest).toString(), "old");
  assert.deepEqual(readdirSync(join(root, "unsynced")), []);
});

test("a blob that the disk lost is not said to be there: it goes, and may come again", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { digest } = await new FsContentStore(root, "soon").ingest("lost");
  const mark = join(root, "unsynced", digest.replace(":", "-"));
  const boot = readlinkSync(mark);
  rmSync(mark);
  // As a failed syncfs(2) leaves it.
  symlinkSync(`lost-${boot}`, mark);
  const soon = new FsContentStore(root, "soon");
  soon.sweep();
  await soon.idle();
  assert.ok(soon.has(digest));
  await assert.rejects(soon.persist([digest]), /the disk did not take blob sha256:/);
  assert.equal(soon.has(digest), false);
  await soon.ingest("lost");
  await soon.persist([digest]);
  assert.deepEqual(readdirSync(join(root, "unsynced")), []);
});

test("a blob that was not written before a loss of power goes, also when a leftover does not", async () => {
  const lost = await new FsContentStore(root, "soon").ingest("lost");
  const bad = await new FsContentStore(root, "soon").ingest("unreadable");
  for (const { digest } of [lost, bad]) {
    const mark = join(root, "unsynced", digest.replace(":", "-"));
    rmSync(mark);
    symlinkSync("another-boot", mark);
  }
  const soon = new FsContentStore(root, "soon");
  writeFileSync(soon.path(lost.digest), "half");
  rmSync(soon.path(bad.digest));
  mkdirSync(join(root, "blobs/sha256", bad.digest.slice(7)));
  rmSync(join(root, "ingest"), { recursive: true });
  writeFileSync(join(root, "ingest"), "");
  assert.throws(() => soon.sweep());
  assert.equal(soon.has(lost.digest), false);
});

test("malformed digests are invalid, missing ones not found", () => {
  for (const name of ["has", "info", "path", "read", "remove"] as const)
    assert.throws(
      () => store[name]("sha256:../../../etc/passwd"),
      (error: unknown) => isKind(error, "invalidArgument"),
    );
  for (const name of ["info", "path", "read", "open"] as const)
    assert.throws(
      () => store[name](digestOf("nothing")),
      (error: unknown) => isKind(error, "notFound"),
    );
});
