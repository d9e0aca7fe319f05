import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isMountPoint, mount, mountRestrictions, removeMountDirectory, unmountAll } from "./mount.ts";

const bind = (source: string, target: string): void =>
  mount({ type: "", source, options: ["bind", "private"] }, target);

test("what a mount forbids is told for every path on it", (t) => {
  const root = mkdtempSync(join(tmpdir(), "gantry-mount-"));
  t.after(() => {
    unmountAll(root);
    rmSync(root, { recursive: true, force: true });
  });
  const target = join(root, "target");
  mkdirSync(target);
  const before = mountRestrictions(target);
  mount({ type: "tmpfs", source: "tmpfs", options: ["nosuid", "noexec"] }, target);
  mkdirSync(join(target, "inner"));
  assert.deepEqual(mountRestrictions(join(target, "inner")), ["nosuid", "noexec"]);
  const bound = join(target, "bound");
  mkdirSync(bound);
  mount({ type: "", source: root, options: ["bind", "ro"] }, bound);
  assert.deepEqual(mountRestrictions(bound), ["ro", ...before.filter((word) => word !== "ro")]);
  assert.deepEqual(mountRestrictions(join(root, "nothing")), []);
});

test("a directory goes with the mounts in it, and what they show stays", (t) => {
  const root = mkdtempSync(join(tmpdir(), "gantry-mount-"));
  t.after(() => {
    unmountAll(root);
    rmSync(root, { recursive: true, force: true });
  });
  const [bundle, volume] = [join(root, "bundle"), join(root, "volume")];
  const deep = join(bundle, "mounts/part 0");
  const inner = join(deep, "inner");
  for (const path of [deep, join(volume, "inner")]) mkdirSync(path, { recursive: true });
  writeFileSync(join(volume, "precious"), "data");
  writeFileSync(join(volume, "inner/too"), "data");
  bind(volume, deep);
  bind(join(volume, "inner"), inner);
  // Hides the two.
  bind(volume, deep);
  assert.ok(isMountPoint(deep));
  // By whatever name: a data root may be a link.
  symlinkSync(bundle, join(root, "link"));
  assert.ok(isMountPoint(join(root, "link/mounts/part 0")));
  assert.ok(!isMountPoint(bundle));
  removeMountDirectory(bundle);
  assert.equal(existsSync(bundle), false);
  assert.equal(readFileSync(join(volume, "precious"), "utf8"), "data");
  assert.equal(readFileSync(join(volume, "inner/too"), "utf8"), "data");
  removeMountDirectory(bundle);
});
