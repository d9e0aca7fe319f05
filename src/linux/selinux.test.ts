import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { mount, unmount } from "./mount.ts";
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

const label = "system_u:object_r:container_file_t:s0";

test("a place is refused before anything is labelled", { skip }, async () => {
  using t = makeTree();
  const link = join(t.tree, "..", "way");
  symlinkSync(t.tree, link);
  const told: string[] = [];
  const refuse = (place: string): void => {
    told.push(place);
    throw new Error("refused");
  };
  await assert.rejects(relabel(link, label, refuse), /refused/);
  assert.deepEqual(told, [realpathSync(t.tree)]);
  for (const path of ["", "a", "file"]) assert.equal(labelOf(join(t.tree, path)), undefined, path);
});

test("a path that leads elsewhere once it is checked does not lead the labels there", { skip }, async () => {
  using t = makeTree();
  const moved = join(t.tree, "moved");
  for (const file of ["file", "inner/file"]) {
    mkdirSync(join(t.outside, "b/inner"), { recursive: true });
    writeFileSync(join(t.outside, "b", file), "");
    mkdirSync(join(t.tree, "a/b/inner"), { recursive: true });
    writeFileSync(join(t.tree, "a/b", file), "");
  }
  const holdsLabels = await holds(t.tree);
  for (const part of ["a/b", "a/b/file"]) {
    const swap = (): void => {
      renameSync(join(t.tree, "a"), moved);
      symlinkSync(t.outside, join(t.tree, "a"));
    };
    await relabel(join(t.tree, part), label, swap);
    for (const path of ["b", "b/file", "b/inner", "b/inner/file"])
      assert.equal(labelOf(join(t.outside, path)), undefined, path);
    if (holdsLabels) assert.equal(labelOf(join(moved, part.slice(2))), label);
    rmSync(join(t.tree, "a"));
    renameSync(moved, join(t.tree, "a"));
  }
});

/** False on a file system without such attributes, where nothing happens. */
async function holds(directory: string): Promise<boolean> {
  const probe = join(directory, "probe");
  writeFileSync(probe, "");
  await relabel(probe, label);
  return labelOf(probe) !== undefined;
}

test("others have their turns, however a large tree is cut", { skip }, async () => {
  using t = makeTree();
  for (let directory = 0; directory < 30; directory += 1) {
    mkdirSync(join(t.tree, `many${directory}`));
    for (let file = 0; file < 100; file += 1) writeFileSync(join(t.tree, `many${directory}`, `${file}`), "");
  }
  let turns = 0;
  let isDone = false;
  const count = (): void => {
    if (isDone) return;
    turns += 1;
    setImmediate(count);
  };
  setImmediate(count);
  await relabel(t.tree, label);
  isDone = true;
  assert.ok(turns >= 10, `${turns} turns in 3000 entries`);
});

test("a deep tree takes no descriptor for each level", { skip }, async () => {
  using t = makeTree();
  const levels = 1500;
  const path = join(t.tree, "d/".repeat(levels));
  mkdirSync(path, { recursive: true });
  const open = (): number => readdirSync("/proc/self/fd").length;
  const before = open();
  let most = 0;
  let isDone = false;
  const watch = (): void => {
    if (isDone) return;
    most = Math.max(most, open());
    setImmediate(watch);
  };
  setImmediate(watch);
  await relabel(t.tree, label);
  isDone = true;
  assert.ok(most > 0 && most < before + 20, `${most} descriptors, ${before} before`);
  assert.ok(open() <= before + 2);
  if (await holds(t.outside)) for (const end of [path, t.tree]) assert.equal(labelOf(end), label);
});

test("a directory that is moved out of the tree meanwhile does not lead out of it", { skip }, async () => {
  using t = makeTree();
  const within = join(t.tree, "a/b/within");
  mkdirSync(within);
  for (let file = 0; file < 1000; file += 1) writeFileSync(join(within, `${file}`), "");
  for (const directory of [t.outside, join(t.tree, "a/b"), join(t.tree, "a")])
    writeFileSync(join(directory, "0 beside"), "");
  const holdsLabels = await holds(t.tree);
  const work = relabel(t.tree, label);
  // The first entries are done by now, all of them in the directory with most.
  renameSync(within, join(t.outside, "within"));
  await work;
  for (const path of ["", "0 beside", "d"]) assert.equal(labelOf(join(t.outside, path)), undefined, path);
  if (!holdsLabels) return;
  for (const path of ["", "a", "a/0 beside", "a/b", "a/b/0 beside", "file"])
    assert.equal(labelOf(join(t.tree, path)), label, path);
});

test("SELinux is on where its file system may be asked", { skip: !isRoot }, (t) => {
  const root = mkdtempSync(join(tmpdir(), "gantry-selinux-"));
  t.after(() => {
    unmount(root);
    rmSync(root, { recursive: true, force: true });
  });
  mount({ type: "tmpfs", source: "none", options: [] }, root);
  const places = { fileSystem: root, type: statfsSync(root).type, current: join(root, "current") };
  assert.equal(isSelinuxOn(places), false);
  writeFileSync(join(root, "context"), "");
  writeFileSync(places.current, "kernel\0");
  assert.equal(isSelinuxOn(places), false);
  writeFileSync(places.current, "system_u:system_r:init_t:s0\0");
  assert.equal(isSelinuxOn(places), true);
  assert.equal(isSelinuxOn({ ...places, type: places.type + 1 }), false);
  // As in a container, which is not to ask.
  mount({ type: "", source: "none", options: ["remount", "ro"] }, root);
  assert.equal(isSelinuxOn(places), false);
});
