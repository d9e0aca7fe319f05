import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { copyTree } from "../linux/copy-tree.ts";
import { makeNode, pathBytes, setXattr } from "../linux/inode.ts";
import { overlayChanges, treeChanges } from "./changes.ts";
import { opaqueXattr } from "./merged-view.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "gantry-changes-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function tree(name: string, files: Readonly<Record<string, string>>): string {
  const directory = join(root, name);
  mkdirSync(directory);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(directory, path, ".."), { recursive: true });
    if (text === "whiteout") makeNode(pathBytes(join(directory, path)), 0o020000, { major: 0, minor: 0 });
    else if (text === "opaque") {
      mkdirSync(join(directory, path), { recursive: true });
      setXattr(pathBytes(join(directory, path)), opaqueXattr, Buffer.from("y"));
    } else writeFileSync(join(directory, path), text);
  }
  return directory;
}

const lines = (changes: readonly { path: string; kind: string }[]): string[] =>
  changes.map(({ path, kind }) => `${kind} ${path}`);

test("an overlay's upper directory: whiteouts, opaque directories, mount points", () => {
  const bottom = tree("bottom", { "etc/a": "1", "etc/b": "1", "gone/x": "1", "re/old": "1", "re/kept": "1" });
  const top = tree("top", { "etc/b": "whiteout", "etc/c": "1" });
  const upper = tree("upper", {
    "etc/a": "2",
    "etc/b": "back",
    gone: "whiteout",
    never: "whiteout",
    re: "opaque",
    "re/kept": "2",
    "re/new": "1",
    "dev/console": "",
    "etc/hosts": "",
  });
  utimesSync(join(upper, "re"), 1, 1);
  const hidden = new Set(["dev", "dev/console", "etc/hosts"]);
  assert.deepEqual(lines(overlayChanges(upper, [top, bottom], hidden)), [
    "modified etc",
    "modified etc/a",
    "added etc/b",
    "deleted gone",
    "modified re",
    "modified re/kept",
    "added re/new",
    "deleted re/old",
  ]);
});

test("two whole trees", () => {
  const below = tree("below", { "a/same": "1", "a/changed": "1", "a/gone": "1", "b/x": "1" });
  const now = join(root, "now");
  mkdirSync(now);
  copyTree(below, now);
  writeFileSync(join(now, "a/changed"), "22");
  rmSync(join(now, "a/gone"));
  chmodSync(join(now, "b"), 0o700);
  assert.deepEqual(lines(treeChanges(now, below, new Set())), [
    "modified a",
    "modified a/changed",
    "deleted a/gone",
    "modified b",
  ]);
});
