/** What every snapshot driver must do. Called by the test file of each driver. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, test } from "node:test";
import { isKind } from "../base/errors.ts";
import { byteStringOf } from "../oci/tar-reader.ts";
import { tarEnd, tarHeader, type TarHeader, tarPadding } from "../oci/tar-writer.ts";
import { deviceNumbers, getXattr, makeNode, pathBytes, setTimes, setXattr } from "../linux/inode.ts";
import { mount, unmount } from "../linux/mount.ts";
import { chainIds } from "../oci/chain-id.ts";
import { digestOf } from "../oci/digest.ts";
import type { Snapshotter } from "./snapshot.ts";

export type TestEntry = Partial<TarHeader> & { name: string; text?: string };

/** A layer tar out of a few entries; names are written as they stand. */
export function layerOf(...entries: TestEntry[]): Buffer {
  const parts = entries.map(({ text, name, ...given }) => {
    const type = given.type ?? (name.endsWith("/") ? "directory" : "file");
    const data = Buffer.from(text ?? "");
    const mode = type === "directory" ? 0o755 : 0o644;
    const header = tarHeader({ mode, ...given, type, name: byteStringOf(name), sizeBytes: data.length });
    return Buffer.concat([header, data, tarPadding(data.length)]);
  });
  return Buffer.concat([...parts, tarEnd()]);
}

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
    let work = "";
    let outside = "";
    let snapshotter: Snapshotter;
    const mounted: string[] = [];

    beforeEach(() => {
      work = mkdtempSync(join(place, "gantry-snapshot-"));
      outside = join(work, "outside");
      mkdirSync(outside);
      writeFileSync(join(outside, "secret"), "untouched");
      snapshotter = open(join(work, "root"));
    });
    afterEach(async () => {
      for (const target of mounted.splice(0)) unmount(target);
      await snapshotter.idle();
      rmSync(work, { recursive: true });
    });

    /** Applies layers on top of each other; returns the top's chainID. */
    async function apply(...layers: Buffer[]): Promise<string> {
      const ids = chainIds(layers.map((layer) => digestOf(layer)));
      for (const [index, layer] of layers.entries())
        await snapshotter.applyLayer({
          chainId: ids[index]!,
          parent: ids[index - 1],
          tar: Readable.from([layer]),
          expectDiffId: digestOf(layer),
        });
      return ids.at(-1)!;
    }

    /** Mounts a snapshot and returns where. */
    function see(key: string): string {
      const target = mkdtempSync(join(work, "mnt-"));
      const mounts = snapshotter.mounts(key);
      assert.equal(mounts.length, 1);
      mount(mounts[0]!, target);
      mounted.push(target);
      return target;
    }

    async function seeLayers(...layers: Buffer[]): Promise<string> {
      const top = await apply(...layers);
      snapshotter.prepare("container", top);
      return see("container");
    }

    test("a tree made by GNU tar comes out as it was, with owners, modes, times, links, devices, attributes, holes", async () => {
      const tree = join(work, "tree");
      mkdirSync(join(tree, "dir/sub"), { recursive: true });
      writeFileSync(join(tree, "dir/file"), "text");
      linkSync(join(tree, "dir/file"), join(tree, "hard"));
      symlinkSync("/absolute/target", join(tree, "absolute"));
      symlinkSync("dir/file", join(tree, "relative"));
      writeFileSync(join(tree, "setuid"), "x");
      chownSync(join(tree, "setuid"), 123, 456);
      chmodSync(join(tree, "setuid"), 0o6755);
      writeFileSync(join(tree, "capable"), "x");
      // cap_net_raw=ep as the kernel stores it (struct vfs_cap_data, revision 2)
      const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
      assert.ok(setXattr(pathBytes(join(tree, "capable")), "security.capability", capability));
      assert.ok(setXattr(pathBytes(join(tree, "capable")), "user.note", Buffer.from([0, 255, 61, 10])));
      makeNode(pathBytes(join(tree, "null")), 0o020666, { major: 1, minor: 3 });
      makeNode(pathBytes(join(tree, "block")), 0o060600, { major: 259, minor: 1048575 });
      makeNode(pathBytes(join(tree, "fifo")), 0o010640, { major: 0, minor: 0 });
      const holes = openSync(join(tree, "holes"), "w");
      writeSync(holes, "middle", 1024 * 1024);
      closeSync(holes);
      truncateSync(join(tree, "holes"), 3 * 1024 * 1024);
      const odd = Buffer.concat([Buffer.from(`${tree}/odd-`), Buffer.from([0xff, 0xfe])]);
      writeFileSync(odd, "not utf-8");
      chmodSync(join(tree, "dir/sub"), 0o1777);
      setTimes(pathBytes(join(tree, "dir/file")), 1_600_000_000_123_456_789n);
      setTimes(pathBytes(join(tree, "relative")), 1_500_000_000_000_000_001n);
      setTimes(pathBytes(join(tree, "dir")), 1_400_000_000_000_000_000n);
      setTimes(pathBytes(tree), 1_300_000_000_000_000_000n);
      const tar = execFileSync(
        "tar",
        ["-C", tree, "--format=pax", "--xattrs", "--xattrs-include=*", "-S", "-c", "."],
        {
          maxBuffer: 64 * 1024 * 1024,
        },
      );
      const seen = await seeLayers(tar);
      const facts = (root: string): string[] =>
        execFileSync(
          "find",
          [root, "-mindepth", "0", "-printf", `%P %y %m %U:%G %s ${countsLinks ? "%n" : ""} %T@ %l\n`],
          {
            encoding: "latin1",
          },
        )
          .split("\n")
          .filter((line) => !/^(dir|dir\/sub)? d/.test(line))
          .sort();
      assert.deepEqual(facts(seen), facts(tree));
      for (const path of ["", "dir", "dir/sub"]) {
        const [a, b] = [tree, seen].map((root) => lstatSync(join(root, path), { bigint: true })) as [
          ReturnType<typeof lstatSync> & { mtimeNs: bigint },
          ReturnType<typeof lstatSync> & { mtimeNs: bigint },
        ];
        assert.deepEqual([a.mode, a.uid, a.gid, a.mtimeNs], [b.mode, b.uid, b.gid, b.mtimeNs], path);
      }
      const copy = pathBytes(join(seen, "capable"));
      assert.deepEqual(getXattr(copy, "security.capability"), capability);
      assert.deepEqual(getXattr(copy, "user.note"), Buffer.from([0, 255, 61, 10]));
      assert.deepEqual(deviceNumbers(lstatSync(join(seen, "block"), { bigint: true }).rdev), {
        major: 259,
        minor: 1048575,
      });
      assert.deepEqual(readFileSync(join(seen, "holes")), readFileSync(join(tree, "holes")));
      assert.ok(lstatSync(join(seen, "holes")).blocks * 512 < 1024 * 1024, "holes stay holes");
      assert.equal(lstatSync(join(seen, "hard")).ino, lstatSync(join(seen, "dir/file")).ino);
    });

    test("whiteouts delete, opaque directories hide, upper layers replace", async () => {
      const seen = await seeLayers(
        layerOf(
          { name: "gone", text: "1" },
          { name: "dir/", mode: 0o700 },
          { name: "dir/old", text: "1" },
          { name: "opaque/" },
          { name: "opaque/old", text: "1" },
          { name: "opaque/deep/old", text: "1" },
          { name: "file", text: "1" },
          { name: "turns/", mode: 0o755 },
          { name: "turns/inside", text: "1" },
          { name: "again/old", text: "1" },
        ),
        layerOf(
          { name: ".wh.gone" },
          { name: "opaque/.wh..wh..opq" },
          { name: "opaque/new", text: "2" },
          { name: "file/" },
          { name: "file/inside", text: "2" },
          { name: "turns", text: "2" },
          { name: "dir/new", text: "2" },
          { name: ".wh.again" },
          { name: "again/" },
          { name: "again/new", text: "2" },
          { name: "opaque/.wh..wh.plnk" },
        ),
      );
      assert.deepEqual(readdirSync(seen).sort(), ["again", "dir", "file", "opaque", "turns"]);
      assert.deepEqual(readdirSync(join(seen, "opaque")), ["new"]);
      assert.deepEqual(readdirSync(join(seen, "dir")).sort(), ["new", "old"]);
      assert.deepEqual(readdirSync(join(seen, "again")), ["new"]);
      assert.equal(readFileSync(join(seen, "file/inside"), "utf8"), "2");
      assert.equal(readFileSync(join(seen, "turns"), "utf8"), "2");
      assert.equal(
        lstatSync(join(seen, "dir")).mode & 0o7777,
        0o700,
        "a directory that is only implied keeps its mode",
      );
    });

    test("a layer's own files survive its whiteouts, whichever comes first", async () => {
      const seen = await seeLayers(
        layerOf({ name: "a/old", text: "1" }, { name: "b", text: "1" }, { name: "c/old", text: "1" }),
        layerOf(
          { name: "a/new", text: "2" },
          { name: ".wh.a" },
          { name: "b", text: "2" },
          { name: ".wh.b" },
          { name: "c/new", text: "2" },
          { name: "c/.wh..wh..opq" },
        ),
      );
      assert.deepEqual(readdirSync(join(seen, "a")), ["new"]);
      assert.equal(readFileSync(join(seen, "b"), "utf8"), "2");
      assert.deepEqual(readdirSync(join(seen, "c")), ["new"]);
    });

    test("entries below a lower layer's symbolic link go where it points", async () => {
      const seen = await seeLayers(
        layerOf({ name: "usr/bin/" }, { name: "bin", type: "symlink", linkName: "usr/bin" }),
        layerOf({ name: "bin/tool", text: "2" }),
      );
      assert.equal(readlinkSync(join(seen, "bin")), "usr/bin");
      assert.equal(readFileSync(join(seen, "usr/bin/tool"), "utf8"), "2");
    });

    test("hostile layers never leave their root", async () => {
      const up = "../".repeat(30);
      const hostile: [string, TestEntry[]][] = [
        ["climbs", [{ name: `${up}${outside.slice(1)}/new`, text: "x" }]],
        ["climbs inside", [{ name: `a/b/../../../x`, text: "x" }]],
        ["deletes above", [{ name: `${up}.wh.outside` }]],
        ["deletes no name", [{ name: "a/.wh.." }]],
        ["deletes the parent", [{ name: "a/.wh..." }]],
        ["deletes nothing", [{ name: ".wh." }]],
        ["links above", [{ name: "x", type: "link", linkName: `${up}${outside.slice(1)}/secret` }]],
        ["links to nothing", [{ name: "x", type: "link", linkName: "/etc/passwd" }]],
        ["links to a directory", [{ name: "d/" }, { name: "x", type: "link", linkName: "d" }]],
        [
          "below a file",
          [
            { name: "f", text: "x" },
            { name: "f/x", text: "x" },
          ],
        ],
        [
          "loop",
          [
            { name: "l", type: "symlink", linkName: "l" },
            { name: "l/x", text: "x" },
          ],
        ],
        ["name too long", [{ name: "n".repeat(300), text: "x" }]],
        ["root is a file", [{ name: "./", type: "symlink", linkName: "/etc" }]],
        ["empty target", [{ name: "x", type: "symlink", linkName: "" }]],
      ];
      for (const [what, entries] of hostile) {
        await assert.rejects(apply(layerOf(...entries)), isInvalid, what);
        assert.deepEqual(snapshotter.list(), [], what);
      }
      await snapshotter.idle();
      assert.equal(readFileSync(join(outside, "secret"), "utf8"), "untouched");
      assert.deepEqual(readdirSync(outside), ["secret"]);
      for (const left of ["tmp", "trash", "layers"])
        assert.deepEqual(readdirSync(join(work, "root", left)), []);
    });

    test("writes through symbolic links land inside the layer", async () => {
      const seen = await seeLayers(
        layerOf(
          { name: "abs", type: "symlink", linkName: outside },
          { name: "abs/secret", text: "written" },
          { name: "rel", type: "symlink", linkName: `${"../".repeat(20)}${outside.slice(1)}` },
          { name: "rel/other", text: "written" },
          { name: "/rooted", text: "written" },
          // the directory becomes a link after it was used once
          { name: "swap/", mode: 0o700 },
          { name: "swap/a", text: "1" },
          { name: "swap", type: "symlink", linkName: outside },
          { name: "swap/b", text: "written" },
          // the file itself is a link: replaced, not followed
          { name: "link", type: "symlink", linkName: join(outside, "secret") },
          { name: "link", text: "written" },
          { name: "hard", type: "symlink", linkName: join(outside, "secret") },
          { name: "hard2", type: "link", linkName: "hard" },
          { name: "hard2", text: "written", mode: 0o777, uid: 1000 },
        ),
      );
      assert.deepEqual(readdirSync(outside), ["secret"]);
      assert.equal(readFileSync(join(outside, "secret"), "utf8"), "untouched");
      assert.equal(lstatSync(join(outside, "secret")).uid, 0);
      assert.deepEqual(readdirSync(join(seen, outside)).sort(), ["b", "other", "secret"]);
      assert.equal(readFileSync(join(seen, "link"), "utf8"), "written");
      assert.equal(readFileSync(join(seen, "rooted"), "utf8"), "written");
      assert.equal(readlinkSync(join(seen, "hard")), join(outside, "secret"));
    });

    test("a malformed or wrong tar leaves nothing", async () => {
      const good = layerOf({ name: "a", text: "text".repeat(1000) });
      const cases: [Buffer, string][] = [
        [Buffer.from("no tar at all".repeat(100)), digestOf("x")],
        [good.subarray(0, 1024), digestOf(good.subarray(0, 1024))],
        [good, digestOf("another")],
      ];
      for (const [tar, diffId] of cases) {
        const layer = { chainId: diffId, parent: undefined, tar: Readable.from([tar]), expectDiffId: diffId };
        await assert.rejects(snapshotter.applyLayer(layer), isInvalid);
        assert.equal(snapshotter.has(diffId), false);
      }
      await snapshotter.idle();
      for (const left of ["tmp", "trash", "layers"])
        assert.deepEqual(readdirSync(join(work, "root", left)), []);
    });

    test("applying again, also at the same time, gives one snapshot", async () => {
      const layer = layerOf({ name: "a", text: "12345" });
      const chainId = digestOf(layer);
      const once = () => snapshotter.applyLayer({ chainId, parent: undefined, tar: Readable.from([layer]) });
      const results = [...(await Promise.all([once(), once(), once()])), await once()];
      for (const result of results) assert.deepEqual(result, { diffId: chainId, sizeBytes: 5 });
      assert.deepEqual(snapshotter.list(), [{ key: chainId, kind: "committed", parent: undefined }]);
    });

    test("containers write into their own snapshot only", async () => {
      const top = await apply(layerOf({ name: "file", text: "image" }, { name: "dir/a", text: "image" }));
      snapshotter.prepare("one", top);
      snapshotter.prepare("two", top);
      const one = see("one");
      writeFileSync(join(one, "file"), "changed");
      unlinkSync(join(one, "dir/a"));
      writeFileSync(join(one, "new"), "1234567");
      const two = see("two");
      assert.deepEqual(readdirSync(two).sort(), ["dir", "file"]);
      assert.equal(readFileSync(join(two, "file"), "utf8"), "image");
      assert.ok(existsSync(join(two, "dir/a")));
      const layer = see(top);
      assert.throws(() => writeFileSync(join(layer, "x"), ""), { code: "EROFS" });
      const { sizeBytes } = await snapshotter.usage("one");
      assert.ok(sizeBytes >= 7 && sizeBytes <= 14, String(sizeBytes));
      assert.equal((await snapshotter.usage(top)).sizeBytes, 10);
    });

    test("a snapshot over nothing is an empty writable directory", () => {
      snapshotter.prepare("scratch", undefined);
      const seen = see("scratch");
      assert.deepEqual(readdirSync(seen), []);
      writeFileSync(join(seen, "x"), "");
    });

    test("names that are taken, missing or malformed", async () => {
      const top = await apply(layerOf({ name: "a" }));
      snapshotter.prepare("taken", top);
      const missing = digestOf("missing");
      assert.throws(
        () => snapshotter.prepare("taken", top),
        (error: unknown) => isKind(error, "alreadyExists"),
      );
      assert.throws(
        () => snapshotter.prepare("x", missing),
        (error: unknown) => isKind(error, "notFound"),
      );
      for (const key of ["", ".", "..", "../x", "a/b", top])
        assert.throws(() => snapshotter.prepare(key, top), isInvalid, key);
      assert.throws(
        () => snapshotter.mounts("missing"),
        (error: unknown) => isKind(error, "notFound"),
      );
      await assert.rejects(
        snapshotter.applyLayer({ chainId: digestOf("y"), parent: missing, tar: Readable.from([layerOf()]) }),
        (error: unknown) => isKind(error, "notFound"),
      );
    });

    test("removing is by name at once; a layer in use stays", async () => {
      const top = await apply(layerOf({ name: "a" }), layerOf({ name: "b" }));
      snapshotter.prepare("container", top);
      assert.throws(
        () => snapshotter.remove(top),
        (error: unknown) => isKind(error, "conflict"),
      );
      snapshotter.remove("container");
      assert.equal(snapshotter.has("container"), false);
      for (const { key } of snapshotter.list().toReversed()) snapshotter.remove(key);
      snapshotter.remove("never there");
      assert.deepEqual(snapshotter.list(), []);
      await snapshotter.idle();
      for (const left of ["tmp", "trash", "layers", "active"])
        assert.deepEqual(readdirSync(join(work, "root", left)), []);
    });

    test("another process sees the same snapshots; sweep removes what is half there", async () => {
      const top = await apply(layerOf({ name: "a" }), layerOf({ name: "b" }));
      snapshotter.prepare("container", top);
      const before = snapshotter.list();
      for (const half of ["tmp/half/diff", "trash/half/diff", "layers/half/diff", "active/half/diff"]) {
        mkdirSync(join(work, "root", half), { recursive: true });
        writeFileSync(join(work, "root", half, "file"), "x");
      }
      const again = open(join(work, "root"));
      again.sweep();
      await again.idle();
      assert.deepEqual(again.list(), before);
      assert.equal(again.has("half"), false);
      for (const path of ["tmp", "trash"]) assert.deepEqual(readdirSync(join(work, "root", path)), []);
      assert.deepEqual(readdirSync(join(work, "root/active")), ["container"]);
      assert.equal(readdirSync(join(work, "root/layers")).length, 2);
      assert.deepEqual(readdirSync(see("container")).sort(), ["a", "b"]);
    });

    test("a process that is killed before the commit leaves nothing after a sweep", async () => {
      const file = join(work, "layer.tar");
      const layer = layerOf({ name: "a", text: "x" });
      writeFileSync(file, layer);
      const script = `
        import { createReadStream } from "node:fs";
        import { createSnapshotter } from ${JSON.stringify(join(import.meta.dirname, "create-snapshotter.ts"))};
        const snapshotter = createSnapshotter({ driver: ${JSON.stringify(snapshotter.name)}, root: ${JSON.stringify(join(work, "crash"))} });
        await snapshotter.applyLayer({ chainId: ${JSON.stringify(digestOf(layer))}, parent: undefined, tar: createReadStream(${JSON.stringify(file)}) });
      `;
      const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
        env: { ...process.env, GANTRY_FAILPOINTS: "snapshot-before-commit=exit" },
        stdio: "ignore",
      });
      const signal = await new Promise((resolve) => child.on("exit", (_code, signal) => resolve(signal)));
      assert.equal(signal, "SIGKILL");
      const root = join(work, "crash", snapshotter.name);
      assert.equal(readdirSync(join(root, "tmp")).length, 1);
      const again = open(root);
      again.sweep();
      await again.idle();
      assert.deepEqual(again.list(), []);
      assert.deepEqual(readdirSync(join(root, "tmp")), []);
      assert.ok(dirname(root).startsWith(work));
    });

    test("an active snapshot becomes a layer, once it is flushed also for the next daemon", async () => {
      const base = await apply(layerOf({ name: "a", text: "below" }, { name: "gone", text: "x" }));
      const layer = layerOf({ name: "dir/" }, { name: "dir/new", text: "made" }, { name: ".wh.gone" });
      snapshotter.prepare("build", base);
      async function* tar(): AsyncGenerator<Buffer> {
        yield layer;
      }
      await snapshotter.unpackInto("build", tar());
      const diffId = digestOf(layer);
      const chainId = digestOf(`${base} ${diffId}`);
      await snapshotter.commit("build", { chainId, diffId });
      assert.ok(snapshotter.has(chainId) && !snapshotter.has("build"));
      assert.equal((await snapshotter.usage(chainId)).sizeBytes, 4);
      snapshotter.prepare("above", chainId);
      const seen = see("above");
      assert.deepEqual(readdirSync(seen).sort(), ["a", "dir"]);
      assert.equal(readFileSync(join(seen, "dir/new"), "utf8"), "made");
      await snapshotter.flush([chainId]);
      const again = open(join(work, "root"));
      assert.equal(again.list().find(({ key }) => key === chainId)?.parent, base);
    });

    test("a layer that is there already takes the place of an active snapshot with the same", async () => {
      const layer = layerOf({ name: "f", text: "1" });
      const chainId = await apply(layer);
      snapshotter.prepare("twice", undefined);
      async function* tar(): AsyncGenerator<Buffer> {
        yield layer;
      }
      await snapshotter.unpackInto("twice", tar());
      await snapshotter.commit("twice", { chainId, diffId: digestOf(layer) });
      assert.deepEqual(
        snapshotter.list().map(({ key }) => key),
        [chainId],
      );
    });

    test("the event loop goes on while a large layer is unpacked", async () => {
      const entries = Array.from({ length: 4000 }, (_, index) => ({
        name: `d${index % 50}/f${index}`,
        text: "x",
      }));
      const layer = layerOf(...entries);
      // Counted in turns, not in time: how long a turn takes is the machine's affair.
      let turns = 0;
      let isDone = false;
      const turn = (): void => {
        turns += 1;
        if (!isDone) setImmediate(turn);
      };
      setImmediate(turn);
      await apply(layer);
      isDone = true;
      assert.ok(turns >= 5, `${turns} turns of the loop for ${entries.length} entries`);
    });
  });
}
