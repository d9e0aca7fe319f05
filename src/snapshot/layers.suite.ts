/** What every snapshot driver must make of layers; a part of the drivers' suite. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { isKind } from "../base/errors.ts";
import { deviceNumbers, getXattr, makeNode, pathBytes, setTimes, setXattr } from "../linux/inode.ts";
import { digestOf } from "../oci/digest.ts";
import { layerOf, type SnapshotBench, type TestEntry } from "./snapshot.fixture.ts";

const isInvalid = (error: unknown): boolean => isKind(error, "invalidArgument");

/** `countsLinks`: the driver counts the names of a file in each of them. */
export function layerTests(it: SnapshotBench, { countsLinks }: { readonly countsLinks: boolean }): void {
  test("a tree made by GNU tar comes out as it was, with owners, modes, times, links, devices, attributes, holes", async () => {
    const tree = join(it.work, "tree");
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
    const seen = await it.seeLayers(tar);
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
    const seen = await it.seeLayers(
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
    const seen = await it.seeLayers(
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
    const seen = await it.seeLayers(
      layerOf({ name: "usr/bin/" }, { name: "bin", type: "symlink", linkName: "usr/bin" }),
      layerOf({ name: "bin/tool", text: "2" }),
    );
    assert.equal(readlinkSync(join(seen, "bin")), "usr/bin");
    assert.equal(readFileSync(join(seen, "usr/bin/tool"), "utf8"), "2");
  });

  test("hostile layers never leave their root", async () => {
    const up = "../".repeat(30);
    const hostile: [string, TestEntry[]][] = [
      ["climbs", [{ name: `${up}${it.outside.slice(1)}/new`, text: "x" }]],
      ["climbs inside", [{ name: `a/b/../../../x`, text: "x" }]],
      ["deletes above", [{ name: `${up}.wh.outside` }]],
      ["deletes no name", [{ name: "a/.wh.." }]],
      ["deletes the parent", [{ name: "a/.wh..." }]],
      ["deletes nothing", [{ name: ".wh." }]],
      ["links above", [{ name: "x", type: "link", linkName: `${up}${it.outside.slice(1)}/secret` }]],
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
      await assert.rejects(it.apply(layerOf(...entries)), isInvalid, what);
      assert.deepEqual(it.snapshotter.list(), [], what);
    }
    await it.snapshotter.idle();
    assert.equal(readFileSync(join(it.outside, "secret"), "utf8"), "untouched");
    assert.deepEqual(readdirSync(it.outside), ["secret"]);
    for (const left of ["tmp", "trash", "layers"])
      assert.deepEqual(readdirSync(join(it.work, "root", left)), []);
  });

  test("writes through symbolic links land inside the layer", async () => {
    const seen = await it.seeLayers(
      layerOf(
        { name: "abs", type: "symlink", linkName: it.outside },
        { name: "abs/secret", text: "written" },
        { name: "rel", type: "symlink", linkName: `${"../".repeat(20)}${it.outside.slice(1)}` },
        { name: "rel/other", text: "written" },
        { name: "/rooted", text: "written" },
        // the directory becomes a link after it was used once
        { name: "swap/", mode: 0o700 },
        { name: "swap/a", text: "1" },
        { name: "swap", type: "symlink", linkName: it.outside },
        { name: "swap/b", text: "written" },
        // the file itself is a link: replaced, not followed
        { name: "link", type: "symlink", linkName: join(it.outside, "secret") },
        { name: "link", text: "written" },
        { name: "hard", type: "symlink", linkName: join(it.outside, "secret") },
        { name: "hard2", type: "link", linkName: "hard" },
        { name: "hard2", text: "written", mode: 0o777, uid: 1000 },
      ),
    );
    assert.deepEqual(readdirSync(it.outside), ["secret"]);
    assert.equal(readFileSync(join(it.outside, "secret"), "utf8"), "untouched");
    assert.equal(lstatSync(join(it.outside, "secret")).uid, 0);
    assert.deepEqual(readdirSync(join(seen, it.outside)).sort(), ["b", "other", "secret"]);
    assert.equal(readFileSync(join(seen, "link"), "utf8"), "written");
    assert.equal(readFileSync(join(seen, "rooted"), "utf8"), "written");
    assert.equal(readlinkSync(join(seen, "hard")), join(it.outside, "secret"));
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
      await assert.rejects(it.snapshotter.applyLayer(layer), isInvalid);
      assert.equal(it.snapshotter.has(diffId), false);
    }
    await it.snapshotter.idle();
    for (const left of ["tmp", "trash", "layers"])
      assert.deepEqual(readdirSync(join(it.work, "root", left)), []);
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
    await it.apply(layer);
    isDone = true;
    assert.ok(turns >= 5, `${turns} turns of the loop for ${entries.length} entries`);
  });
}
