import assert from "node:assert/strict";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { entryPath, openSubdirectory, removeEntry } from "./tree-fd.ts";

test("a link in a directory's place is never gone through, and no name is a way", (t) => {
  const root = mkdtempSync(join(tmpdir(), "gantry-tree-"));
  t.after(() => rmSync(root, { recursive: true }));
  const [tree, outside] = [join(root, "tree"), join(root, "outside")];
  for (const path of [tree, outside, join(tree, "real")]) mkdirSync(path);
  writeFileSync(join(outside, "precious"), "data");
  for (const name of ["link", "again"]) symlinkSync(outside, join(tree, name));
  const fd = openSync(tree, "r");
  t.after(() => closeSync(fd));
  closeSync(openSubdirectory(fd, "real"));
  assert.throws(() => openSubdirectory(fd, "link"), /ENOTDIR|ELOOP/);
  removeEntry(fd, "link");
  assert.ok(!existsSync(join(tree, "link")));
  removeEntry(fd, "real");
  assert.ok(existsSync(join(outside, "precious")));
  for (const name of ["", ".", "..", "again/precious", "a\0b"]) {
    assert.throws(() => entryPath(fd, name), /is no name of a file/);
    assert.throws(() => removeEntry(fd, name), /is no name of a file/);
  }
});
