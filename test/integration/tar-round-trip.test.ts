/** Any tree that goes into a layer comes out of it the same: a property, with trees that nobody would think of. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  constants,
  lchownSync,
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
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as fc from "fast-check";
import { packDirectory } from "../../src/container/pack-tree.ts";
import { getXattr, listXattrs, makeNode, pathBytes, setTimes, setXattr } from "../../src/linux/inode.ts";
import { tarEnd } from "../../src/oci/tar-writer.ts";
import { unpackLayer } from "../../src/snapshot/apply.ts";

interface Spec {
  readonly name: Buffer;
  readonly kind: "file" | "directory" | "symlink" | "link" | "fifo" | "device" | "holes";
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly timeNs: bigint;
  readonly content: Buffer<ArrayBuffer>;
  readonly xattr: Buffer;
  /** Which directory made before it is in. */
  readonly place: number;
}

/** A file name of any bytes; what a layer means by `.wh.` cannot be one. */
const name = fc
  .oneof(
    { weight: 4, arbitrary: fc.uint8Array({ min: 1, max: 255, minLength: 1, maxLength: 12 }) },
    { weight: 1, arbitrary: fc.uint8Array({ min: 33, max: 126, minLength: 200, maxLength: 255 }) },
  )
  .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0x2f ? 0x5f : byte))))
  .filter(
    (bytes) =>
      ![".", ".."].includes(bytes.toString("latin1")) && !bytes.toString("latin1").startsWith(".wh."),
  );

const spec: fc.Arbitrary<Spec> = fc.record({
  name,
  kind: fc.constantFrom(
    "file",
    "file",
    "directory",
    "directory",
    "symlink",
    "link",
    "fifo",
    "device",
    "holes",
  ),
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 ** 31 })),
  gid: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 ** 31 })),
  // From 1901 to 2200, to the nanosecond; what ext4 holds.
  timeNs: fc.bigInt({ min: -2_147_483_648_000_000_000n, max: 7_258_118_400_000_000_000n }),
  content: fc.uint8Array({ maxLength: 3000 }).map((bytes) => Buffer.from(bytes)),
  xattr: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  place: fc.nat(),
});

/** cap_net_raw=ep as the kernel stores it (struct vfs_cap_data, revision 2). */
const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");

const slash = Buffer.from("/");
const within = (directory: Buffer, base: Buffer): Buffer<ArrayBuffer> =>
  Buffer.concat([directory, slash, base]);

/** Makes the tree; a name that is taken is left out. */
function build(root: string, specs: readonly Spec[]): void {
  const directories: Buffer<ArrayBuffer>[] = [Buffer.from(root)];
  const files: Buffer[] = [];
  const made: [Buffer, Spec][] = [];
  for (const it of specs) {
    const path = within(directories[it.place % directories.length]!, it.name);
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined || path.length > 3000) continue;
    if (it.kind === "link") {
      if (files.length > 0) linkSync(files[it.place % files.length]!, path);
      continue;
    }
    make(path, it);
    if (it.kind === "directory") directories.push(path);
    if (it.kind === "file" || it.kind === "holes") files.push(path);
    made.push([path, it]);
  }
  // From the inside to the outside: what is made in a directory changes its time.
  for (const [path, it] of made.toReversed()) {
    lchownSync(path, it.uid, it.gid);
    if (it.kind !== "symlink") chmodSync(path, it.mode);
    if (it.kind === "file" || it.kind === "directory") setXattr(pathBytes(path), "user.any", it.xattr);
    // Of this machine's own attributes only capabilities go into layers.
    if (it.kind === "file") setXattr(pathBytes(path), "security.capability", capability);
    setTimes(pathBytes(path), it.timeNs);
  }
}

function make(path: Buffer, it: Spec): void {
  if (it.kind === "directory") mkdirSync(path);
  else if (it.kind === "file") writeFileSync(path, it.content);
  else if (it.kind === "symlink")
    symlinkSync(
      Buffer.concat([Buffer.from("t"), Buffer.from(it.content.subarray(0, 900).map((byte) => byte || 1))]),
      path,
    );
  else if (it.kind === "fifo") makeNode(pathBytes(path), constants.S_IFIFO | 0o600, { major: 0, minor: 0 });
  else if (it.kind === "device")
    makeNode(pathBytes(path), constants.S_IFCHR | 0o600, {
      major: 1 + (it.place % 4000),
      minor: it.place % 1_000_000,
    });
  else {
    const fd = openSync(path, "wx");
    if (it.content.length > 0) writeSync(fd, it.content, 0, it.content.length, 200_000);
    closeSync(fd);
    truncateSync(path, 400_000);
  }
}

/** Everything about a tree, but for the root's own time and what no archive holds. */
function facts(root: string, { inSeconds = false } = {}): string[] {
  const lines: string[] = [];
  const links = new Map<bigint, string>();
  const walk = (directory: Buffer, prefix: string): void => {
    const entries = readdirSync(directory, { encoding: "buffer" }).toSorted((a, b) => a.compare(b));
    for (const entry of entries) {
      const path = within(directory, entry);
      const shown = prefix + entry.toString("latin1");
      const stat = lstatSync(path, { bigint: true });
      const content = stat.isFile()
        ? readFileSync(path).toString("base64")
        : stat.isSymbolicLink()
          ? readlinkSync(path, { encoding: "buffer" }).toString("base64")
          : "";
      const xattrs = listXattrs(pathBytes(path))
        .toSorted((a, b) => (a < b ? -1 : 1))
        .map((key) => `${key}=${getXattr(pathBytes(path), key)?.toString("hex")}`);
      const first = links.get(stat.ino) ?? shown;
      links.set(stat.ino, first);
      const { mode, uid, gid, mtimeNs, rdev, nlink } = stat;
      const count = stat.isDirectory() ? "" : nlink;
      lines.push(
        JSON.stringify([
          shown,
          String(mode),
          String(uid),
          String(gid),
          String(inSeconds ? mtimeNs / 1_000_000_000n : mtimeNs),
          String(rdev),
          String(count),
          first,
          content,
          xattrs,
        ]),
      );
      if (stat.isDirectory()) walk(path, `${shown}/`);
    }
  };
  walk(Buffer.from(root), "");
  return lines;
}

async function* archiveOf(root: string): AsyncGenerator<Buffer> {
  const fd = openSync(root, "r");
  try {
    yield* packDirectory(fd, "");
  } finally {
    closeSync(fd);
  }
  yield tarEnd();
}

async function unpackInto(root: string, tar: Buffer): Promise<void> {
  async function* pieces(): AsyncGenerator<Buffer> {
    // Of an odd size: none of them begins where an entry does.
    for (let at = 0; at < tar.length; at += 997) yield tar.subarray(at, at + 997);
  }
  mkdirSync(root);
  await unpackLayer(pieces(), { root, form: "merged" });
}

const gnuTar = [
  "--xattrs",
  "--xattrs-include=user.*",
  "--xattrs-include=security.capability",
  "--numeric-owner",
];

/** Blocks on the disk of each file with holes. */
const blocks = (root: string, files: readonly string[]): number[] =>
  files.map(
    (file) => lstatSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from(file, "latin1")])).blocks,
  );

test("a tree in, a layer, a tree out: the same, whoever made the layer and whoever reads it", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(spec, { maxLength: 25 }), async (specs) => {
      const work = mkdtempSync(join(tmpdir(), "gantry-test-round-"));
      const at = (name: string): string => join(work, name);
      try {
        mkdirSync(at("before"));
        build(at("before"), specs);
        // GNU tar's layers, to the nanosecond and with their holes.
        const theirs = execFileSync("tar", ["-C", at("before"), "--format=pax", "-S", ...gnuTar, "-c", "."]);
        await unpackInto(at("from-gnu"), theirs);
        assert.deepEqual(facts(at("from-gnu")), facts(at("before")));
        const holes = specs.filter(
          ({ kind, place, name: it }) => kind === "holes" && place === 0 && it.length < 200,
        );
        const names = holes.map(({ name: it }) => it.toString("latin1"));
        for (const [index, count] of blocks(at("from-gnu"), names).entries())
          assert.ok(count < 200, `${names[index]} has ${count} blocks`);
        // Our own, whose times are whole seconds as Docker's are.
        const ours = Buffer.concat(await Array.fromAsync(archiveOf(at("before"))));
        await unpackInto(at("from-ours"), ours);
        mkdirSync(at("to-gnu"));
        execFileSync("tar", ["-C", at("to-gnu"), ...gnuTar, "-xpf", "-"], { input: ours });
        const before = facts(at("before"), { inSeconds: true });
        assert.deepEqual(facts(at("from-ours"), { inSeconds: true }), before);
        assert.deepEqual(facts(at("to-gnu"), { inSeconds: true }), before);
      } finally {
        rmSync(work, { recursive: true });
      }
    }),
    { numRuns: 25 },
  );
});
