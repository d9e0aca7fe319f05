import assert from "node:assert/strict";
import {
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openDatabase } from "../base/database.ts";
import { isKind } from "../base/errors.ts";
import { getXattr, makeNode, pathBytes, setXattr } from "../linux/inode.ts";
import { mount, unmount } from "../linux/mount.ts";
import { hasProjectQuota } from "../linux/project-quota.ts";
import { reasonOfMount } from "./local-driver.ts";
import { mountArguments } from "./local-options.ts";
import { createVolumeStore } from "./volume-store.ts";

const directory = mkdtempSync(join(tmpdir(), "gantry-volumes-"));
const database = openDatabase(join(directory, "db"));
const root = join(directory, "volumes");
const noPlugins = { sockets: join(directory, "none"), specifications: [] };
after(() => {
  database.close();
  rmSync(directory, { recursive: true });
});

test("a volume is made once, found by a later process, and removed with its data", async () => {
  const store = createVolumeStore(database, root, noPlugins);
  const { volume, isNew } = await store.create({ name: "data", labels: { a: "1" } });
  assert.equal(isNew, true);
  assert.deepEqual(await store.create({ name: "data" }), { volume, isNew: false });
  writeFileSync(join(volume.Mountpoint, "f"), "x");
  const later = createVolumeStore(database, root, noPlugins);
  assert.deepEqual(await later.inspect("data"), volume);
  assert.equal(readFileSync(join(volume.Mountpoint, "f"), "utf8"), "x");
  assert.equal(later.isAnonymous("data"), false);
  await later.remove("data");
  assert.equal(statSync(volume.Mountpoint, { throwIfNoEntry: false }), undefined);
  await assert.rejects(later.inspect("data"), /get data: no such volume/);
  await assert.rejects(later.remove("data"), /no such volume/);
});

test("without a name it is anonymous", async () => {
  const store = createVolumeStore(database, root, noPlugins);
  const { Name } = (await store.create({})).volume;
  assert.match(Name, /^[0-9a-f]{64}$/);
  assert.equal(store.isAnonymous(Name), true);
  await store.remove(Name);
});

test("bad names, drivers and options are refused and leave nothing", async () => {
  const store = createVolumeStore(database, root, noPlugins);
  await assert.rejects(store.create({ name: "a" }), /create a: volume name is too short/);
  for (const name of ["-x", "a/b", "..", "a b"])
    await assert.rejects(store.create({ name }), /invalid characters/, name);
  await assert.rejects(
    store.create({ name: "xx", driver: "nfs" }),
    /^EngineError: create xx: error looking up volume plugin nfs: plugin "nfs" not found$/,
  );
  const refused: readonly (readonly [Record<string, string>, RegExp])[] = [
    [{ colour: "red" }, /create xx: invalid option: "colour"/],
    [{ type: "tmpfs" }, /missing required option: "device"/],
    [{ device: "tmpfs" }, /missing required option: "type"/],
    [{ o: "size=1m", type: "tmpfs" }, /missing required option: "device"/],
    [{ size: "much" }, /invalid size: 'much'/],
    [{ type: "cifs", device: "//server:445/share" }, /port not allowed in CIFS device URL/],
  ];
  for (const [driverOptions, words] of refused)
    await assert.rejects(store.create({ name: "xx", driverOptions }), words);
  assert.deepEqual((await store.list()).volumes, []);
  assert.deepEqual(readdirSync(root), []);
});

test("a quota is set where the file system has them, else refused with a word", async () => {
  const store = createVolumeStore(database, root, noPlugins);
  const made = store.create({ name: "small", driverOptions: { size: "1m" } });
  if (!hasProjectQuota(root)) {
    await assert.rejects(made, /quota size requested but no quota support/);
    assert.deepEqual(readdirSync(root), []);
    return;
  }
  const { Mountpoint } = (await made).volume;
  assert.throws(() => writeFileSync(join(Mountpoint, "f"), Buffer.alloc(2 << 20)), /EDQUOT|ENOSPC/);
  await store.remove("small");
});

const isMounted = (path: string): boolean =>
  readFileSync("/proc/self/mountinfo", "utf8").includes(` ${path} `);

test("what the options name is mounted from the first use to the last", async () => {
  const store = createVolumeStore(database, root, noPlugins);
  const driverOptions = { type: "tmpfs", device: "tmpfs", o: "size=64k,uid=1000,noexec" };
  const { Mountpoint, Options } = (await store.create({ name: "memory", driverOptions })).volume;
  assert.deepEqual(Options, driverOptions);
  assert.equal(isMounted(Mountpoint), false);
  assert.equal(await store.mount("memory", "one"), Mountpoint);
  assert.equal(isMounted(Mountpoint), true);
  assert.equal(statSync(Mountpoint).uid, 1000);
  assert.throws(() => writeFileSync(join(Mountpoint, "f"), Buffer.alloc(1 << 20)), /ENOSPC/);
  await store.mount("memory", "two");
  await store.mount("memory", "two");
  await store.unmount("memory", "one");
  await store.unmount("memory", "one");
  assert.equal(isMounted(Mountpoint), true);
  // A later process, as after a crash: it knows one of the users, then none.
  const later = createVolumeStore(database, root, noPlugins);
  later.adopt("memory", "two");
  await later.unmountUnused();
  assert.equal(isMounted(Mountpoint), true);
  await later.unmount("memory", "two");
  assert.equal(isMounted(Mountpoint), false);
  await later.mount("memory", "three");
  await createVolumeStore(database, root, noPlugins).unmountUnused();
  assert.equal(isMounted(Mountpoint), false);
  await later.unmount("memory", "three");
  await later.remove("memory");
  assert.deepEqual(readdirSync(root), []);
});

test("removing a volume waits for its last user, and never empties what is mounted on it", async () => {
  const store = createVolumeStore(database, root, noPlugins);
  const elsewhere = join(directory, "elsewhere");
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, "f"), "precious");
  const driverOptions = { type: "none", device: elsewhere, o: "bind" };
  const { Mountpoint } = (await store.create({ name: "bound", driverOptions })).volume;
  await store.mount("bound", "one");
  assert.equal(readFileSync(join(Mountpoint, "f"), "utf8"), "precious");
  const removed = store.remove("bound");
  await store.unmount("bound", "one");
  await removed;
  assert.equal(readFileSync(join(elsewhere, "f"), "utf8"), "precious");
  assert.equal(isMounted(Mountpoint), false);
  // Somebody else's mount, which nothing here knows of.
  const plain = (await store.create({ name: "plain" })).volume;
  mount({ type: "", source: elsewhere, options: ["bind"] }, plain.Mountpoint);
  try {
    await assert.rejects(store.remove("plain"), /something is mounted on/);
  } finally {
    unmount(plain.Mountpoint);
  }
  await store.remove("plain");
  assert.equal(readFileSync(join(elsewhere, "f"), "utf8"), "precious");
});

test("what mount(8) says of a server is told in the kernel's words", () => {
  for (const [said, reason] of [
    ["cannot mount //10.0.0.1/share read-only.", "permission denied"],
    ["//10.0.0.1/share is write-protected but explicit read-write mode requested.", "permission denied"],
    ["special device //10.0.0.1/share does not exist.", "no such file or directory"],
    ["mount(2) system call failed: Connection refused.", "Connection refused."],
    ["unknown filesystem type 'cifs'.", "unknown filesystem type 'cifs'."],
  ] as const)
    assert.equal(reasonOfMount(`mount: /v/_data: ${said}\n  dmesg(1) may have more\n`, "/v/_data"), reason);
});

test("a mount that fails names device, place and reason, without the password", async () => {
  const store = createVolumeStore(database, root, noPlugins);
  await store.create({ name: "away", driverOptions: { type: "none", device: "/no/such", o: "bind" } });
  await assert.rejects(store.mount("away", "one"), (error: Error) => {
    assert.match(
      error.message,
      /^error while mounting volume '.*\/away\/_data': failed to mount local volume: mount \/no\/such:.*no such file/,
    );
    // Docker's command line takes a 404 for a missing image, and pulls it.
    return isKind(error, "internal");
  });
  await store.remove("away");
  const secret = { type: "nosuchfs", device: "x", o: "password=hunter2" };
  await store.create({ name: "secret", driverOptions: secret });
  await assert.rejects(store.mount("secret", "one"), (error: Error) => {
    assert.doesNotMatch(error.message, /hunter2/);
    assert.match(error.message, /password=\*+/);
    return true;
  });
  await store.remove("secret");
});

test("names of servers are looked up for the kernel", async () => {
  assert.deepEqual(await mountArguments({ type: "nfs", device: ":/data", o: "addr=localhost,vers=4" }), {
    device: ":/data",
    type: "nfs",
    words: ["addr=127.0.0.1", "vers=4"],
  });
  const nfs = { type: "nfs", device: ":/data", o: "addr=192.0.2.7,rw" };
  assert.deepEqual((await mountArguments(nfs)).words, ["addr=192.0.2.7", "rw"]);
  assert.equal(
    (await mountArguments({ type: "cifs", device: "//localhost/share" })).device,
    "//127.0.0.1/share",
  );
  await assert.rejects(
    mountArguments({ type: "nfs", device: ":/data", o: "addr=no-such-host.invalid" }),
    /error resolving passed in network volume address/,
  );
});

test("an empty volume is filled with the image's files and their owners, a used one is left alone", async () => {
  const store = createVolumeStore(database, root, noPlugins);
  const image = join(directory, "image");
  mkdirSync(join(image, "sub"), { recursive: true });
  writeFileSync(join(image, "sub", "f"), "from image", { mode: 0o640 });
  chownSync(join(image, "sub", "f"), 33, 34);
  chownSync(image, 33, 33);
  const { Mountpoint } = (await store.create({ name: "vol" })).volume;
  store.copyUp(Mountpoint, image);
  const stat = statSync(join(Mountpoint, "sub", "f"));
  assert.deepEqual([stat.uid, stat.gid, stat.mode & 0o777], [33, 34, 0o640]);
  assert.equal(statSync(Mountpoint).uid, 33);
  writeFileSync(join(Mountpoint, "sub", "f"), "mine");
  store.copyUp(Mountpoint, image);
  assert.equal(readFileSync(join(Mountpoint, "sub", "f"), "utf8"), "mine");
  store.copyUp(Mountpoint, join(directory, "absent"));
});

test("what a crash left is put right, and nobody's data is lost", async () => {
  mkdirSync(join(root, "half-made", "_data"), { recursive: true });
  mkdirSync(join(root, ".removing-1", "_data"), { recursive: true });
  writeFileSync(join(root, ".removing-1", "_data", "f"), "x");
  mkdirSync(join(root, "unrecorded", "_data"), { recursive: true });
  writeFileSync(join(root, "unrecorded", "_data", "f"), "precious");
  await createVolumeStore(database, root, noPlugins).create({ name: "gone" });
  rmSync(join(root, "gone"), { recursive: true });
  symlinkSync("gone", join(root, ".removed-1"));
  const store = createVolumeStore(database, root, noPlugins);
  for (const name of ["half-made", ".removing-1", ".removed-1"])
    assert.equal(lstatSync(join(root, name), { throwIfNoEntry: false }), undefined);
  assert.equal(readFileSync(join((await store.inspect("unrecorded")).Mountpoint, "f"), "utf8"), "precious");
  await assert.rejects(store.inspect("gone"), /no such volume/);
});

test("a directory that is not there does not take the volume's record with it; what is no volume stays", async () => {
  const first = createVolumeStore(database, root, noPlugins);
  const labels = { what: "kept" };
  const { Mountpoint } = (await first.create({ name: "elsewhere", labels })).volume;
  await first.create({ name: "removed" });
  await first.remove("removed");
  assert.deepEqual(
    readdirSync(root).filter((name) => name.startsWith(".")),
    [],
  );
  writeFileSync(join(Mountpoint, "f"), "precious");
  // As when their file system is not mounted.
  renameSync(root, `${root}.away`);
  mkdirSync(join(root, "backup/of/somebody"), { recursive: true });
  writeFileSync(join(root, "notes"), "mine");
  const store = createVolumeStore(database, root, noPlugins);
  assert.deepEqual((await store.inspect("elsewhere")).Labels, labels);
  await assert.rejects(store.mount("elsewhere", "one"), /error while mounting volume.*is not there/);
  assert.deepEqual(readdirSync(root).toSorted(), ["backup", "notes"]);
  assert.ok(existsSync(join(root, "backup/of/somebody")));
  rmSync(root, { recursive: true });
  renameSync(`${root}.away`, root);
  assert.equal(readFileSync(join(await store.mount("elsewhere", "one"), "f"), "utf8"), "precious");
  await store.unmount("elsewhere", "one");
});

test("copy-up takes links, devices and attributes as they are, and no file for a directory", async () => {
  const store = createVolumeStore(database, root, noPlugins);
  const image = join(directory, "special");
  mkdirSync(image);
  writeFileSync(join(image, "f"), "x");
  linkSync(join(image, "f"), join(image, "hard"));
  symlinkSync("/etc/passwd", join(image, "link"));
  makeNode(pathBytes(join(image, "null")), 0o020666, { major: 1, minor: 3 });
  setXattr(pathBytes(join(image, "f")), "user.note", Buffer.from("n"));
  const { Mountpoint } = (await store.create({ name: "special" })).volume;
  store.copyUp(Mountpoint, join(image, "f"));
  store.copyUp(Mountpoint, join(image, "link"));
  assert.deepEqual(readdirSync(Mountpoint), []);
  store.copyUp(Mountpoint, image);
  assert.equal(readlinkSync(join(Mountpoint, "link")), "/etc/passwd");
  assert.ok(lstatSync(join(Mountpoint, "null")).isCharacterDevice());
  assert.equal(lstatSync(join(Mountpoint, "f")).ino, lstatSync(join(Mountpoint, "hard")).ino);
  assert.equal(getXattr(pathBytes(join(Mountpoint, "f")), "user.note")?.toString(), "n");
});
