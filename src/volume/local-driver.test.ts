/** Volumes on whose directory something is mounted that does not answer, as of a server that went away. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openDatabase } from "../base/database.ts";
import { isKind } from "../base/errors.ts";
import { isMountPoint, mount, mountsOn, unmount, unmountAll } from "../linux/mount.ts";
import type { VolumeInspect } from "../wire/volume.ts";
import { hasVolumeDirectory, holdsData, LocalDriver } from "./local-driver.ts";
import { mountUnanswering, needsFuse } from "./unanswering.fixture.ts";
import { createVolumeStore } from "./volume-store.ts";

function newRoot(t: { after(work: () => void): void }, names: readonly string[]): string {
  const directory = mkdtempSync(join(tmpdir(), "gantry-local-driver-"));
  const root = join(directory, "volumes");
  t.after(() => {
    unmountAll(directory);
    rmSync(directory, { recursive: true });
  });
  for (const name of names) mkdirSync(join(root, name, "_data"), { recursive: true });
  return root;
}

const volume = (name: string, Options: Record<string, string>): VolumeInspect =>
  ({ Name: name, Options }) as unknown as VolumeInspect;

test(
  "what is mounted on a volume and gone is neither asked nor an error, and goes with the volume",
  needsFuse,
  async (t) => {
    const root = newRoot(t, ["dead"]);
    const driver = new LocalDriver(root);
    const path = driver.pathOf("dead");
    mountUnanswering(path).end();
    assert.ok(isMountPoint(path));
    assert.ok(hasVolumeDirectory(join(root, "dead")));
    assert.ok(holdsData(join(root, "dead")));
    assert.deepEqual(
      (await driver.list()).map(({ name }) => name),
      ["dead"],
    );
    for (const type of ["none", "nfs"]) {
      const options = { type, device: "/elsewhere" };
      assert.equal(await driver.mount(volume("dead", options)), path, type);
    }
    await driver.remove(volume("dead", { type: "none", device: "/elsewhere" }));
    assert.deepEqual(await driver.list(), []);
  },
);

test(
  "a server that does not answer any more ends the start of the next container, and holds up nothing",
  needsFuse,
  async (t) => {
    const root = newRoot(t, ["share"]);
    const driver = new LocalDriver(root, 200);
    const path = driver.pathOf("share");
    const server = mountUnanswering(path);
    try {
      const options = { type: "nfs", device: ":/share", o: "addr=192.0.2.1" };
      await assert.rejects(
        driver.mount(volume("share", options)),
        (error) =>
          isKind(error, "unavailable") &&
          String(error).includes(`'${path}': no answer from the server of what is mounted there within 0.2`),
      );
      assert.ok(isMountPoint(path));
      const share = volume("share", options);
      await assert.rejects(driver.requireAnswer(share, "copy: "), /: copy: no answer from the server/);
      await driver.unmount(share, "", false);
      assert.ok(isMountPoint(path), "somebody uses it");
      await driver.unmount(share, "", true);
      assert.ok(!isMountPoint(path));
      await driver.requireAnswer(share, "nothing is mounted there: ");
      await driver.unmount(share, "", true);
    } finally {
      server.end();
    }
  },
);

test("a volume without a record that something is mounted on is not taken for an empty one", (t) => {
  const root = newRoot(t, ["mounted"]);
  mount({ type: "tmpfs", source: "none", options: [] }, join(root, "mounted/_data"));
  using database = openDatabase(join(root, "../db"));
  const store = createVolumeStore(database, root, { sockets: join(root, "none"), specifications: [] });
  assert.deepEqual(
    store.records().map(({ Name }) => Name),
    ["mounted"],
  );
});

test("one volume whose files cannot be deleted keeps no other from being removed", async (t) => {
  const root = newRoot(t, ["stuck", "free", "held"]);
  const driver = new LocalDriver(root);
  const [stuck, free, held] = ["stuck", "free", "held"].map((name) => volume(name, {}));
  const inner = join(driver.pathOf("stuck"), "inner");
  mkdirSync(inner);
  mount({ type: "tmpfs", source: "none", options: [] }, inner);
  const refused = (name: string) => (error: unknown) =>
    // A conflict would say that somebody uses it.
    isKind(error, "internal") && error.message.startsWith(`remove ${name}: `);
  await assert.rejects(driver.remove(stuck!), refused("stuck"));
  await driver.remove(free!);
  assert.ok(!readdirSync(root).includes("free"));
  await assert.rejects(driver.remove(stuck!), refused("stuck"));
  const place = join(root, "held");
  mount({ type: "", source: place, options: ["bind"] }, place);
  await assert.rejects(driver.remove(held!), refused("held"));
  unmount(place);
  unmountAll(root);
  await driver.remove(held!);
  await driver.remove(stuck!);
  assert.deepEqual(readdirSync(root), []);
});

test("what somebody mounted over a server's files goes with them", async (t) => {
  const root = newRoot(t, ["twice"]);
  const driver = new LocalDriver(root);
  const path = driver.pathOf("twice");
  const twice = volume("twice", { type: "nfs", device: ":/share" });
  for (let count = 0; count < 2; count++) mount({ type: "tmpfs", source: "none", options: [] }, path);
  assert.equal(mountsOn(path), 2);
  await driver.unmount(twice, "", true);
  assert.equal(mountsOn(path), 0);
  await driver.remove(twice);
  assert.deepEqual(await driver.list(), []);
});
