/** What every snapshot driver must do. Called by the test file of each driver. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import { isKind } from "../base/errors.ts";
import { digestOf } from "../oci/digest.ts";
import { layerOf, SnapshotBench } from "./snapshot.fixture.ts";
import type { Snapshotter } from "./snapshot.ts";
import { layerTests } from "./layers.suite.ts";

const isInvalid = (error: unknown): boolean => isKind(error, "invalidArgument");

/** What a test cannot expect of a driver, and where it works. */
export interface SuiteOptions {
  /** A directory on the file system that the driver needs. */
  readonly place?: string;
  /** It does not count the names of a file in each of them. */
  readonly countsLinks?: boolean;
}

export function snapshotterSuite(
  name: string,
  open: (root: string) => Snapshotter,
  { place = tmpdir(), countsLinks = true }: SuiteOptions = {},
): void {
  describe(name, () => {
    const it = new SnapshotBench(open, place);

    layerTests(it, { countsLinks });

    test("applying again, also at the same time, gives one snapshot", async () => {
      const layer = layerOf({ name: "a", text: "12345" });
      const chainId = digestOf(layer);
      const once = () =>
        it.snapshotter.applyLayer({ chainId, parent: undefined, tar: Readable.from([layer]) });
      const results = [...(await Promise.all([once(), once(), once()])), await once()];
      for (const result of results) assert.deepEqual(result, { diffId: chainId, sizeBytes: 5 });
      assert.deepEqual(it.snapshotter.list(), [{ key: chainId, kind: "committed", parent: undefined }]);
    });

    test("containers write into their own snapshot only", async () => {
      const top = await it.apply(layerOf({ name: "file", text: "image" }, { name: "dir/a", text: "image" }));
      it.snapshotter.prepare("one", top);
      it.snapshotter.prepare("two", top);
      const one = it.see("one");
      writeFileSync(join(one, "file"), "changed");
      unlinkSync(join(one, "dir/a"));
      writeFileSync(join(one, "new"), "1234567");
      const two = it.see("two");
      assert.deepEqual(readdirSync(two).sort(), ["dir", "file"]);
      assert.equal(readFileSync(join(two, "file"), "utf8"), "image");
      assert.ok(existsSync(join(two, "dir/a")));
      const layer = it.see(top);
      assert.throws(() => writeFileSync(join(layer, "x"), ""), { code: "EROFS" });
      const { sizeBytes } = await it.snapshotter.usage("one");
      assert.ok(sizeBytes >= 7 && sizeBytes <= 14, String(sizeBytes));
      assert.equal((await it.snapshotter.usage(top)).sizeBytes, 10);
    });

    test("a snapshot over nothing is an empty writable directory", () => {
      it.snapshotter.prepare("scratch", undefined);
      const seen = it.see("scratch");
      assert.deepEqual(readdirSync(seen), []);
      writeFileSync(join(seen, "x"), "");
    });

    test("names that are taken, missing or malformed", async () => {
      const top = await it.apply(layerOf({ name: "a" }));
      it.snapshotter.prepare("taken", top);
      const missing = digestOf("missing");
      assert.throws(
        () => it.snapshotter.prepare("taken", top),
        (error: unknown) => isKind(error, "alreadyExists"),
      );
      assert.throws(
        () => it.snapshotter.prepare("x", missing),
        (error: unknown) => isKind(error, "notFound"),
      );
      for (const key of ["", ".", "..", "../x", "a/b", top])
        assert.throws(() => it.snapshotter.prepare(key, top), isInvalid, key);
      assert.throws(
        () => it.snapshotter.mounts("missing"),
        (error: unknown) => isKind(error, "notFound"),
      );
      await assert.rejects(
        it.snapshotter.applyLayer({
          chainId: digestOf("y"),
          parent: missing,
          tar: Readable.from([layerOf()]),
        }),
        (error: unknown) => isKind(error, "notFound"),
      );
    });

    test("removing is by name at once; a layer in use stays", async () => {
      const top = await it.apply(layerOf({ name: "a" }), layerOf({ name: "b" }));
      it.snapshotter.prepare("container", top);
      assert.throws(
        () => it.snapshotter.remove(top),
        (error: unknown) => isKind(error, "conflict"),
      );
      it.snapshotter.remove("container");
      assert.equal(it.snapshotter.has("container"), false);
      for (const { key } of it.snapshotter.list().toReversed()) it.snapshotter.remove(key);
      it.snapshotter.remove("never there");
      assert.deepEqual(it.snapshotter.list(), []);
      await it.snapshotter.idle();
      for (const left of ["tmp", "trash", "layers", "active"])
        assert.deepEqual(readdirSync(join(it.work, "root", left)), []);
    });

    test("another process sees the same snapshots; sweep removes what is half there", async () => {
      const top = await it.apply(layerOf({ name: "a" }), layerOf({ name: "b" }));
      it.snapshotter.prepare("container", top);
      const before = it.snapshotter.list();
      for (const half of ["tmp/half/diff", "trash/half/diff", "layers/half/diff"]) {
        mkdirSync(join(it.work, "root", half), { recursive: true });
        writeFileSync(join(it.work, "root", half, "file"), "x");
      }
      const again = open(join(it.work, "root"));
      again.sweep();
      await again.idle();
      assert.deepEqual(again.list(), before);
      assert.equal(again.has("half"), false);
      for (const path of ["tmp", "trash"]) assert.deepEqual(readdirSync(join(it.work, "root", path)), []);
      assert.deepEqual(readdirSync(join(it.work, "root/active")), ["container"]);
      assert.equal(readdirSync(join(it.work, "root/layers")).length, 2);
      assert.deepEqual(readdirSync(it.see("container")).sort(), ["a", "b"]);
    });

    test("a writable one whose link is gone is kept, and stands where it did when that is said again", async () => {
      const top = await it.apply(layerOf({ name: "a" }), layerOf({ name: "b" }));
      it.snapshotter.prepare("container", top);
      rmSync(join(it.work, "root/active/container/parent"));
      const again = open(join(it.work, "root"));
      again.sweep();
      assert.deepEqual(again.unattached(), ["container"]);
      again.attach("container", top);
      assert.deepEqual(again.unattached(), []);
      const third = open(join(it.work, "root"));
      assert.equal(third.list().find(({ key }) => key === "container")?.parent, top);
      await Promise.all([again.idle(), third.idle()]);
      assert.deepEqual(readdirSync(it.see("container")).sort(), ["a", "b"]);
    });

    test("a layer whose record cannot be read is kept until it is there again", async () => {
      const layer = layerOf({ name: "a" });
      const chainId = await it.apply(layer);
      await it.snapshotter.idle();
      const hex = chainId.replace("sha256:", "");
      truncateSync(join(it.work, "root/layers", hex, "record.json"));
      const again = open(join(it.work, "root"));
      again.sweep();
      assert.deepEqual(readdirSync(join(it.work, "root/unreadable")), [hex]);
      assert.deepEqual(readdirSync(join(it.work, "root/unreadable", hex, "diff")), ["a"]);
      await again.applyLayer({ chainId, parent: undefined, tar: Readable.from([layer]) });
      again.sweep();
      await again.idle();
      assert.deepEqual(readdirSync(join(it.work, "root/unreadable")), []);
      assert.deepEqual(
        again.list().map(({ key }) => key),
        [chainId],
      );
    });

    test("a process that is killed before the commit leaves nothing after a sweep", async () => {
      const file = join(it.work, "layer.tar");
      const layer = layerOf({ name: "a", text: "x" });
      writeFileSync(file, layer);
      const script = `
        import { createReadStream } from "node:fs";
        import { createSnapshotter } from ${JSON.stringify(join(import.meta.dirname, "create-snapshotter.ts"))};
        const snapshotter = createSnapshotter({ driver: ${JSON.stringify(it.snapshotter.name)}, root: ${JSON.stringify(join(it.work, "crash"))} });
        await snapshotter.applyLayer({ chainId: ${JSON.stringify(digestOf(layer))}, parent: undefined, tar: createReadStream(${JSON.stringify(file)}) });
      `;
      const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
        env: { ...process.env, GANTRY_FAILPOINTS: "snapshot-before-commit=exit" },
        stdio: "ignore",
      });
      const signal = await new Promise((resolve) => child.on("exit", (_code, signal) => resolve(signal)));
      assert.equal(signal, "SIGKILL");
      const root = join(it.work, "crash", it.snapshotter.name);
      assert.equal(readdirSync(join(root, "tmp")).length, 1);
      const again = open(root);
      again.sweep();
      await again.idle();
      assert.deepEqual(again.list(), []);
      assert.deepEqual(readdirSync(join(root, "tmp")), []);
      assert.ok(dirname(root).startsWith(it.work));
    });

    test("an active snapshot becomes a layer, once it is flushed also for the next daemon", async () => {
      const base = await it.apply(layerOf({ name: "a", text: "below" }, { name: "gone", text: "x" }));
      const layer = layerOf({ name: "dir/" }, { name: "dir/new", text: "made" }, { name: ".wh.gone" });
      it.snapshotter.prepare("build", base);
      async function* tar(): AsyncGenerator<Buffer> {
        yield layer;
      }
      await it.snapshotter.unpackInto("build", tar());
      const diffId = digestOf(layer);
      const chainId = digestOf(`${base} ${diffId}`);
      await it.snapshotter.commit("build", { chainId, diffId });
      assert.ok(it.snapshotter.has(chainId) && !it.snapshotter.has("build"));
      assert.equal((await it.snapshotter.usage(chainId)).sizeBytes, 4);
      it.snapshotter.prepare("above", chainId);
      const seen = it.see("above");
      assert.deepEqual(readdirSync(seen).sort(), ["a", "dir"]);
      assert.equal(readFileSync(join(seen, "dir/new"), "utf8"), "made");
      await it.snapshotter.flush([chainId]);
      const again = open(join(it.work, "root"));
      assert.equal(again.list().find(({ key }) => key === chainId)?.parent, base);
    });

    test("a layer that is there already takes the place of an active snapshot with the same", async () => {
      const layer = layerOf({ name: "f", text: "1" });
      const chainId = await it.apply(layer);
      it.snapshotter.prepare("twice", undefined);
      async function* tar(): AsyncGenerator<Buffer> {
        yield layer;
      }
      await it.snapshotter.unpackInto("twice", tar());
      await it.snapshotter.commit("twice", { chainId, diffId: digestOf(layer) });
      assert.deepEqual(
        it.snapshotter.list().map(({ key }) => key),
        [chainId],
      );
    });
  });
}
