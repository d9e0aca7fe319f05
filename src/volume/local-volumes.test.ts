import assert from "node:assert/strict";
import {
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openDatabase } from "../base/database.ts";
import { getXattr, makeNode, pathBytes, setXattr } from "../linux/inode.ts";
import { createVolumeStore } from "./local-volumes.ts";

const directory = mkdtempSync(join(tmpdir(), "gantry-volumes-"));
const database = openDatabase(join(directory, "db"));
const root = join(directory, "volumes");
after(() => {
  database.close();
  rmSync(directory, { recursive: true });
});

test("a volume is made once, found by a later process, and removed with its data", () => {
  const store = createVolumeStore(database, root);
  const volume = store.create({ name: "data", labels: { a: "1" } });
  assert.equal(store.create({ name: "data" }), volume);
  writeFileSync(join(volume.Mountpoint, "f"), "x");
  const later = createVolumeStore(database, root);
  assert.deepEqual(later.inspect("data"), volume);
  assert.equal(readFileSync(join(volume.Mountpoint, "f"), "utf8"), "x");
  assert.equal(later.isAnonymous("data"), false);
  later.remove("data");
  assert.equal(statSync(volume.Mountpoint, { throwIfNoEntry: false }), undefined);
  assert.throws(() => later.inspect("data"), /get data: no such volume/);
  assert.throws(() => later.remove("data"), /no such volume/);
});

test("without a name it is anonymous", () => {
  const store = createVolumeStore(database, root);
  const { Name } = store.create({});
  assert.match(Name, /^[0-9a-f]{64}$/);
  assert.equal(store.isAnonymous(Name), true);
  store.remove(Name);
});

test("bad names and drivers are refused and leave nothing", () => {
  const store = createVolumeStore(database, root);
  for (const name of ["a", "-x", "a/b", "..", "a b"])
    assert.throws(() => store.create({ name }), /invalid characters/, name);
  assert.throws(() => store.create({ name: "xx", driver: "nfs" }), /"nfs" is not served/);
  assert.throws(
    () => store.create({ name: "xx", driverOptions: { type: "tmpfs" } }),
    /options of the local volume driver/,
  );
  assert.deepEqual(store.list(), []);
});

test("an empty volume is filled with the image's files and their owners, a used one is left alone", () => {
  const store = createVolumeStore(database, root);
  const image = join(directory, "image");
  mkdirSync(join(image, "sub"), { recursive: true });
  writeFileSync(join(image, "sub", "f"), "from image", { mode: 0o640 });
  chownSync(join(image, "sub", "f"), 33, 34);
  chownSync(image, 33, 33);
  const { Mountpoint } = store.create({ name: "vol" });
  store.copyUp("vol", image);
  const stat = statSync(join(Mountpoint, "sub", "f"));
  assert.deepEqual([stat.uid, stat.gid, stat.mode & 0o777], [33, 34, 0o640]);
  assert.equal(statSync(Mountpoint).uid, 33);
  writeFileSync(join(Mountpoint, "sub", "f"), "mine");
  store.copyUp("vol", image);
  assert.equal(readFileSync(join(Mountpoint, "sub", "f"), "utf8"), "mine");
  store.copyUp("vol", join(directory, "absent"));
});

test("what a crash left is put right, and nobody's data is lost", () => {
  mkdirSync(join(root, "half-made", "_data"), { recursive: true });
  mkdirSync(join(root, ".removing-1", "_data"), { recursive: true });
  writeFileSync(join(root, ".removing-1", "_data", "f"), "x");
  mkdirSync(join(root, "unrecorded", "_data"), { recursive: true });
  writeFileSync(join(root, "unrecorded", "_data", "f"), "precious");
  createVolumeStore(database, root).create({ name: "gone" });
  rmSync(join(root, "gone"), { recursive: true });
  const store = createVolumeStore(database, root);
  for (const name of ["half-made", ".removing-1"])
    assert.equal(statSync(join(root, name), { throwIfNoEntry: false }), undefined);
  assert.equal(readFileSync(join(store.inspect("unrecorded").Mountpoint, "f"), "utf8"), "precious");
  assert.throws(() => store.inspect("gone"), /no such volume/);
});

test("copy-up takes links, devices and attributes as they are, and no file for a directory", () => {
  const store = createVolumeStore(database, root);
  const image = join(directory, "special");
  mkdirSync(image);
  writeFileSync(join(image, "f"), "x");
  linkSync(join(image, "f"), join(image, "hard"));
  symlinkSync("/etc/passwd", join(image, "link"));
  makeNode(pathBytes(join(image, "null")), 0o020666, { major: 1, minor: 3 });
  setXattr(pathBytes(join(image, "f")), "user.note", Buffer.from("n"));
  const { Mountpoint } = store.create({ name: "special" });
  store.copyUp("special", join(image, "f"));
  store.copyUp("special", join(image, "link"));
  assert.deepEqual(readdirSync(Mountpoint), []);
  store.copyUp("special", image);
  assert.equal(readlinkSync(join(Mountpoint, "link")), "/etc/passwd");
  assert.ok(lstatSync(join(Mountpoint, "null")).isCharacterDevice());
  assert.equal(lstatSync(join(Mountpoint, "f")).ino, lstatSync(join(Mountpoint, "hard")).ino);
  assert.equal(getXattr(pathBytes(join(Mountpoint, "f")), "user.note")?.toString(), "n");
});
