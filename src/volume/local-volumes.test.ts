import assert from "node:assert/strict";
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openDatabase } from "../base/database.ts";
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

test("what a crash left without a record is swept", () => {
  mkdirSync(join(root, "half-made", "_data"), { recursive: true });
  createVolumeStore(database, root);
  assert.equal(statSync(join(root, "half-made"), { throwIfNoEntry: false }), undefined);
});
