import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isSelinuxOn, labelOf, relabel } from "./selinux.ts";

const isRoot = process.getuid?.() === 0;

/** A tree with links that lead out of it, and what they lead to. */
function makeTree(): Disposable & { readonly tree: string; readonly outside: string } {
  const root = mkdtempSync(join(tmpdir(), "gantry-selinux-"));
  const tree = join(root, "tree");
  const outside = join(root, "outside");
  for (const path of [join(tree, "a/b/c"), join(outside, "d")]) mkdirSync(path, { recursive: true });
  for (const path of [join(tree, "file"), join(tree, "a/b/c/file"), join(outside, "d/file")])
    writeFileSync(path, "");
  symlinkSync(outside, join(tree, "a/link"));
  symlinkSync(join(outside, "d/file"), join(tree, "link"));
  return { tree, outside, [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }) };
}

// Without SELinux the kernel keeps the attribute as any other of the security namespace; with it the policy has a say.
const skip = !isRoot || isSelinuxOn();

test("everything in a tree is labelled, and nothing that its links lead to", { skip }, async () => {
  using t = makeTree();
  await relabel(t.tree, "system_u:object_r:container_file_t:s0:c1,c2");
  const label = labelOf(t.tree);
  // On a file system without such attributes nothing happens.
  if (label === undefined) return;
  assert.equal(label, "system_u:object_r:container_file_t:s0:c1,c2");
  for (const path of ["file", "a", "a/b", "a/b/c", "a/b/c/file", "a/link", "link"])
    assert.equal(labelOf(join(t.tree, path)), label, path);
  for (const path of ["", "d", "d/file"]) assert.equal(labelOf(join(t.outside, path)), undefined, path);
  await relabel(t.tree, "system_u:object_r:container_file_t:s0");
  assert.equal(labelOf(join(t.tree, "a/b/c/file")), "system_u:object_r:container_file_t:s0");
});

test("a file by itself", { skip }, async () => {
  using t = makeTree();
  const file = join(t.tree, "file");
  await relabel(file, "a:b:c:s0");
  assert.equal(labelOf(file) ?? "a:b:c:s0", "a:b:c:s0");
  assert.equal(labelOf(t.tree), undefined);
});

test("what is not there is an error", async () => {
  await assert.rejects(relabel("/no/such/place", "a:b:c:s0"), { code: "ENOENT" });
});
