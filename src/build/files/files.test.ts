import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import * as fc from "fast-check";
import { MemoryBudget } from "../../base/memory-budget.ts";
import { tarEnd, tarHeader, tarPadding } from "../../oci/tar-writer.ts";
import { emptyTree, type FileTree, findEntry, resolvePath, rootEntry } from "./file-tree.ts";
import { filteredTree } from "./filtered-tree.ts";
import { compileGlob } from "./glob.ts";
import { layerTar } from "./layer-tar.ts";
import { Pack } from "./pack.ts";
import { compilePatterns } from "./patterns.ts";
import { LayerPlan } from "./place.ts";
import { receiveTar } from "./receive-tar.ts";
import { RootTree } from "./root-tree.ts";
import { selectionDigest, selectSources } from "./select.ts";

/** A directory with files: a text, or `-> target` for a link. */
function tree(files: Readonly<Record<string, string>>): FileTree & Disposable & { readonly root: string } {
  const root = mkdtempSync(join(tmpdir(), "gantry-files-"));
  for (const [name, text] of Object.entries(files)) {
    const path = join(root, name);
    mkdirSync(join(path, ".."), { recursive: true });
    if (text.startsWith("-> ")) symlinkSync(text.slice(3), path);
    else writeFileSync(path, text);
  }
  const inner = new RootTree(root);
  return {
    root,
    stat: (path) => inner.stat(path),
    list: (path) => inner.list(path),
    read: (entry) => inner.read(entry),
    digest: (entry) => inner.digest(entry),
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
}

test("a path never leads out of its tree, whatever its links say", () => {
  using files = tree({
    "a/link": "-> ../../../../etc/passwd",
    "a/up": "-> ..",
    abs: "-> /a/f",
    "a/f": "",
    loop: "-> loop",
    "etc/passwd": "",
  });
  for (const [path, wanted] of [
    ["a/link", "etc/passwd"],
    ["../../a/f", "a/f"],
    ["abs", "a/f"],
    ["a/up/a/f", "a/f"],
    ["a/up/../../../etc/passwd", "etc/passwd"],
    ["loop", undefined],
  ] as const)
    assert.equal(resolvePath(files, path, true), wanted, path);
  assert.equal(resolvePath(files, "a/link", false), "a/link");
});

test("patterns match part by part, as Go's path/filepath does", () => {
  for (const [pattern, name, wanted] of [
    ["*.txt", "a.txt", true],
    ["*.txt", "a/b.txt", false],
    ["a?c", "abc", true],
    ["a?c", "a/c", false],
    ["[a-c]x", "bx", true],
    ["[^a-c]x", "bx", false],
    ["\\*", "*", true],
    ["\\*", "a", false],
    ["a.b", "aXb", false],
  ] as const)
    assert.equal(compileGlob(pattern)(name), wanted, `${pattern} ${name}`);
  assert.throws(() => compileGlob("[a"), /syntax error in pattern/);
  assert.throws(() => compileGlob("a\\"), /syntax error in pattern/);
});

test("a plain name matches itself and nothing else", () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^[a-zA-Z0-9 .+(){}$^|-]{1,12}$/),
      fc.stringMatching(/^[a-z.+]{1,12}$/),
      (name, other) => {
        const matches = compileGlob(name);
        return matches(name) && (name === other || !matches(other));
      },
    ),
  );
});

test("ignore rules with exceptions keep the directories of what is kept", () => {
  using files = tree({ "dir/in": "1", "dir/out": "2", other: "3", "deep/er/x": "4" });
  const kept = filteredTree(files, compilePatterns(["*", "!dir/in", "!deep/er"]));
  assert.deepEqual(kept.list(""), ["deep", "dir"]);
  assert.deepEqual(kept.list("dir"), ["in"]);
  assert.equal(findEntry(kept, "other"), undefined);
  assert.equal(findEntry(kept, "deep/er/x")?.type, "file");
});

const select = (files: FileTree, ...sources: string[]): ReturnType<typeof selectSources> =>
  selectSources(files, { sources, parents: false, isExcluded: undefined, treeName: "the build context" });

test("the digest of files knows names, modes and bytes, and no times", () => {
  const digest = (files: Readonly<Record<string, string>>): string => {
    using made = tree(files);
    return selectionDigest(made, select(made, "."));
  };
  assert.equal(digest({ a: "1", "d/b": "2" }), digest({ "d/b": "2", a: "1" }));
  assert.notEqual(digest({ a: "1" }), digest({ a: "2" }));
  assert.notEqual(digest({ a: "1" }), digest({ b: "1" }));
  assert.notEqual(digest({ a: "1" }), digest({ a: "-> 1" }));
});

test("with --parents sources keep their ways, from /./ on, directories their names too", () => {
  using source = tree({ f: "1", "d/g": "2", "d/s/h": "3", "d/s/i.md": "4", "e/j": "5" });
  using target = tree({});
  const placed = (sources: readonly string[], excluded?: string): string => {
    const options = { destination: "/to", owner: undefined, chmod: undefined, nowNs: 0n, timeNs: undefined };
    const plan = new LayerPlan(target, options);
    const isExcluded = excluded === undefined ? undefined : (path: string) => path === excluded;
    plan.add(source, selectSources(source, { sources, parents: true, isExcluded, treeName: "" }));
    return plan.items.map(({ path }) => path).join(" ");
  };
  assert.equal(placed(["e"]), "to to/e to/e/j");
  assert.equal(placed(["e/"]), "to to/e to/e/j");
  assert.equal(placed(["f"]), "to to/f");
  assert.equal(placed(["d/s"]), "to to/d to/d/s to/d/s/h to/d/s/i.md");
  assert.equal(placed(["d/./s"]), "to to/s to/s/h to/s/i.md");
  assert.equal(placed(["e/./"]), "to to/j");
  assert.equal(placed(["d/./s"], "s/i.md"), "to to/s to/s/h");
  assert.equal(placed(["d"], "d/s/h"), "to to/d to/d/g to/d/s to/d/s/i.md");
  assert.equal(placed(["d/s/h", "f"], "d/s/h"), "to to/f");
});

test("where files go", () => {
  using source = tree({ f: "1", "d/g": "2", "d/s/h": "3" });
  using target = tree({ "there/x": "", file: "", "real/x": "", link: "-> /real", filelink: "-> file" });
  const placed = (destination: string, ...sources: string[]): string[] => {
    const plan = new LayerPlan(target, {
      destination,
      owner: undefined,
      chmod: undefined,
      nowNs: 0n,
      timeNs: undefined,
    });
    plan.add(source, select(source, ...sources));
    return plan.items.map(({ path }) => path);
  };
  assert.deepEqual(placed("/new", "f"), ["new"]);
  assert.deepEqual(placed("/new/", "f"), ["new", "new/f"]);
  assert.deepEqual(placed("/there", "f"), ["there/f"]);
  assert.deepEqual(placed("/a/b/c", "f"), ["a", "a/b", "a/b/c"]);
  assert.deepEqual(placed("/to", "d"), ["to", "to/g", "to/s", "to/s/h"]);
  assert.deepEqual(placed("/", "d"), ["g", "s", "s/h"]);
  assert.deepEqual(placed("/link/", "f"), ["real/f"]);
  assert.deepEqual(placed("/filelink", "f"), ["file"]);
  assert.throws(() => placed("/file", "d"), /cannot copy to non-directory: \/file/);
  assert.throws(() => placed("/x", "none"), /"\/none": not found in the build context/);
});

test("a context in a tar becomes a pack that reads as it was sent, and gives the same layer each time", async () => {
  const data = Buffer.from("hello");
  const archive = [
    tarHeader({ name: "d/", type: "directory", mode: 0o750, uid: 7, gid: 8 }),
    tarHeader({ name: "./d/f", type: "file", mode: 0o644, uid: 7, gid: 8, sizeBytes: data.length }),
    data,
    tarPadding(data.length),
    tarHeader({ name: "d/l", type: "link", mode: 0o644, linkName: "d/f" }),
    tarHeader({ name: "../../out", type: "symlink", mode: 0o777, linkName: "/etc" }),
    tarEnd(),
  ];
  const directory = mkdtempSync(join(tmpdir(), "gantry-pack-"));
  try {
    const pack = new Pack(join(directory, "pack"));
    await receiveTar(Readable.from(archive, { objectMode: false }), pack, new AbortController().signal);
    assert.deepEqual(pack.list(""), ["d", "out"]);
    assert.deepEqual(pack.list("d"), ["f", "l"]);
    const file = pack.stat("d/l")!;
    assert.equal(Buffer.concat([...pack.read(file)].map((piece) => Buffer.from(piece))).toString(), "hello");
    assert.deepEqual([file.uid, file.gid, file.identity], [0, 0, pack.stat("d/f")?.identity]);
    const items = (): Buffer => {
      const plan = new LayerPlan(emptyTree, {
        destination: "/",
        owner: undefined,
        chmod: undefined,
        nowNs: 0n,
        timeNs: 0n,
      });
      plan.add(pack, select(pack, "."));
      return Buffer.concat([...layerTar(plan.items, 0n)]);
    };
    assert.deepEqual(items(), items());
    pack.discard();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test("a pack's memory counts until it is closed, however that is", () => {
  const directory = mkdtempSync(join(tmpdir(), "gantry-pack-"));
  try {
    for (const close of [
      (pack: Pack) => pack[Symbol.dispose](),
      (pack: Pack) => pack.revert(0),
      (pack: Pack) => pack.discard(),
    ]) {
      const pack = new Pack(join(directory, "pack"));
      pack.commitFile({ ...rootEntry, path: "a/b", type: "file" }, [Buffer.from("x")]);
      pack.add({ ...rootEntry, path: "c" });
      pack.remove("a");
      assert.ok(MemoryBudget.keptBytes > 1_000, String(MemoryBudget.keptBytes));
      close(pack);
      assert.equal(MemoryBudget.keptBytes, 0);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
