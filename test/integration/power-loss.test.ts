/** A machine that lost its power right after a pull: what was not on the disk yet is looked at, and made anew. */
import assert from "node:assert/strict";
import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { flavour, TestDaemon } from "../helpers/daemon.ts";
import { busybox, busyboxTar } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";

/**
 * As if none of these had been on the disk yet when the machine went down: marks are links to the id of another boot. The
 * daemon's own marks go about a second after the work, so they are not waited for.
 */
function markAsSuspect(directory: string, names: readonly string[], boot = "another-boot"): void {
  for (const name of names) {
    rmSync(join(directory, name), { force: true });
    symlinkSync(boot, join(directory, name));
  }
}

/** A daemon with an image of one layer. */
async function startWithImage(name: string): Promise<TestDaemon> {
  await using undo = new AsyncDisposableStack();
  const daemon = undo.use(await TestDaemon.start());
  await daemon.dockerOk(["import", await busyboxTar(daemon.root), name], { timeoutMs: 60_000 });
  undo.move();
  return daemon;
}

const layersOf = (daemon: TestDaemon): string => join(daemon.dataRoot, "snapshots/overlay2");

test(
  "layers are unpacked again from their blobs, spoilt blobs go",
  { skip: flavour === "docker" },
  async () => {
    await using daemon = await startWithImage("power/one:1");
    const layers = layersOf(daemon);
    const content = join(daemon.dataRoot, "content");
    const layerNames = (): string[] => readdirSync(join(layers, "layers"));
    const blobNames = (): string[] =>
      readdirSync(join(content, "blobs/sha256")).map((hex) => `sha256-${hex}`);
    await daemon.dockerOk([
      "create",
      "--name",
      "box",
      "--network",
      "none",
      "power/one:1",
      "/bin/busybox",
      "echo",
      "up",
    ]);
    // Not by its own words: they would be written to disk first.
    await daemon.killHard();
    const [layer = ""] = layerNames();
    markAsSuspect(join(layers, "unsynced"), layerNames());
    markAsSuspect(join(content, "unsynced"), blobNames());
    const program = join(layers, "layers", layer, "diff/bin/busybox");
    truncateSync(program, 0);

    await daemon.launch();
    assert.ok(lstatSync(program).size > 100_000);
    assert.equal(await daemon.dockerOk(["start", "-a", "box"]), "up");
    assert.match(await daemon.log(), /a layer was not on the disk when the machine went down/);
    await daemon.dockerOk(["rm", "box"]);
    await daemon.stop();
    // Written to disk in peace: nothing is marked any more, and nothing is looked at.
    assert.deepEqual(readdirSync(join(layers, "unsynced")), []);
    assert.deepEqual(readdirSync(join(content, "unsynced")), []);

    await daemon.launch();
    const before = new Set([...layerNames(), ...blobNames()]);
    await daemon.dockerOk(["pull", busybox], { timeoutMs: 60_000 });
    await daemon.killHard();
    const isNew = (name: string): boolean => !before.has(name);
    markAsSuspect(join(content, "unsynced"), blobNames().filter(isNew));
    markAsSuspect(join(layers, "unsynced"), layerNames().filter(isNew));
    for (const name of blobNames().filter(isNew)) {
      const blob = join(content, "blobs", name.replace("-", "/"));
      if (lstatSync(blob).size > 100_000) truncateSync(blob, 1000);
    }
    await daemon.launch();
    const log = await daemon.log();
    assert.match(log, /a blob was not on the disk when the machine went down; it is removed/);
    assert.match(log, /an image is broken: pull it again/);
    const refused = await daemon.docker(["create", "--pull", "never", busybox]);
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      /image gantry\/busybox is broken: its layers are not on the disk, .*Pull or load it again/,
    );
    // Others are as they were, and the broken one is mended by what the log says.
    assert.equal(
      await daemon.dockerOk(["run", "--rm", "--network", "none", "power/one:1", "/bin/busybox", "echo", "x"]),
      "x",
    );
    await daemon.dockerOk(["pull", busybox], { timeoutMs: 60_000 });
    assert.equal(await daemon.dockerOk(["run", "--rm", "--network", "none", busybox, "echo", "y"]), "y");
  },
);

test(
  "layers that lost files are unpacked again; in the same boot they are left alone",
  { skip: flavour === "docker" },
  async () => {
    await using daemon = await startWithImage("power/one:1");
    const layers = layersOf(daemon);
    const unsynced = join(layers, "unsynced");
    const [layer = ""] = readdirSync(join(layers, "layers"));
    const binaries = join(layers, "layers", layer, "diff/bin");
    const echo = ["run", "--rm", "--network", "none", "power/one:1", "/bin/busybox", "echo", "up"];
    await daemon.killHard();
    // Only the daemon died: what the kernel has is good, and goes to the disk. The file that is missing is a witness.
    markAsSuspect(unsynced, [layer], readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
    const witness = join(
      binaries,
      readdirSync(binaries).find((name) => name !== "busybox")!,
    );
    rmSync(witness);
    await daemon.launch();
    assert.equal(await daemon.dockerOk(echo), "up");
    assert.equal(existsSync(witness), false);
    await eventually(() => readdirSync(unsynced).length === 0, { timeoutMs: 60_000, what: "marks to go" });
    assert.doesNotMatch(await daemon.log(), /not on the disk when the machine went down/);

    await daemon.killHard();
    markAsSuspect(unsynced, [layer]);
    rmSync(binaries, { recursive: true });
    await daemon.launch();
    assert.equal(lstatSync(witness).isSymbolicLink() || lstatSync(witness).isFile(), true);
    assert.equal(await daemon.dockerOk(echo), "up");
    const check = await daemon.gantry(["system", "check"], { timeoutMs: 120_000 });
    assert.equal(check.code, 0, check.stdout + check.stderr);
  },
);

test(
  "a layer below one that is still there is unpacked again, and without its blob the image is said to be broken",
  { skip: flavour === "docker" },
  async () => {
    await using daemon = await startWithImage("power/base:1");
    const layers = layersOf(daemon);
    const lower = readdirSync(join(layers, "layers"))[0]!;
    const sh = ["--network", "none", "power/base:1", "/bin/busybox"];
    await daemon.dockerOk(["run", "--name", "writer", ...sh, "touch", "/bin/above"]);
    await daemon.dockerOk(["commit", "writer", "power/two:1"], { timeoutMs: 60_000 });
    // Out of an archive it has no parent: nothing but this image has the lower layer.
    const archive = join(daemon.root, "two.tar");
    await daemon.dockerOk(["save", "-o", archive, "power/two:1"], { timeoutMs: 60_000 });
    await daemon.dockerOk(["rm", "writer"]);
    await daemon.dockerOk(["rmi", "power/two:1", "power/base:1"]);
    assert.deepEqual(readdirSync(join(layers, "layers")), []);
    await daemon.dockerOk(["load", "-q", "-i", archive], { timeoutMs: 60_000 });
    assert.equal(readdirSync(join(layers, "layers")).length, 2);
    await daemon.dockerOk([
      "create",
      "--name",
      "box",
      "--network",
      "none",
      "power/two:1",
      "/bin/busybox",
      "ls",
      "/bin/above",
    ]);
    // As when it was unpacked anew shortly before (by a repair): its mark is young, that of the layer above it long gone.
    const loseLower = async (): Promise<void> => {
      await daemon.killHard();
      markAsSuspect(join(layers, "unsynced"), [lower]);
      await daemon.launch();
    };
    await loseLower();
    assert.equal(await daemon.dockerOk(["start", "-a", "box"]), "/bin/above");
    assert.match(await daemon.log(), /layers were unpacked again/);

    // The archive's layers are not compressed: a blob has the digest of its layer.
    rmSync(join(daemon.dataRoot, "content/blobs/sha256", lower));
    await loseLower();
    assert.match(await daemon.log(), /an image is broken: pull it again/);
    const refused = await daemon.docker(["create", "--pull", "never", "power/two:1"]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /image power\/two:1 is broken: its layers are not on the disk/);
    await daemon.dockerOk(["load", "-q", "-i", archive], { timeoutMs: 60_000 });
    assert.equal(await daemon.dockerOk(["start", "-a", "box"]), "/bin/above");
  },
);

test(
  "an answer to load is given when the blobs are on the disk, and the layers are marked until they are",
  { skip: flavour === "docker" },
  async () => {
    // Nothing is written to disk because its time has come: what is, was waited for.
    const held = { GANTRY_FAILPOINTS: "deferred-sync.due=fail:1000000" };
    await using daemon = await TestDaemon.start({ env: held });
    const blobMarks = join(daemon.dataRoot, "content/unsynced");
    const layers = layersOf(daemon);
    const archive = join(daemon.root, "archive.tar");
    await daemon.dockerOk(["pull", busybox], { timeoutMs: 60_000 });
    await daemon.dockerOk(["save", "-o", archive, busybox], { timeoutMs: 60_000 });
    for (const bring of [
      ["load", "-q", "-i", archive],
      ["pull", "-q", busybox],
      ["import", await busyboxTar(daemon.root), "power/imported:1"],
    ]) {
      await daemon.dockerOk(["rmi", "-f", ...(await daemon.dockerOk(["images", "-aq"])).split("\n")]);
      await daemon.dockerOk(bring, { timeoutMs: 60_000 });
      assert.deepEqual(readdirSync(blobMarks), [], bring.join(" "));
      assert.deepEqual(readdirSync(join(layers, "unsynced")), readdirSync(join(layers, "layers")));
    }
    // A container keeps the layers of an image whose blobs are removed: they cannot be unpacked again, so they are on the disk.
    await daemon.dockerOk(["create", "--name", "box", "power/imported:1", "true"]);
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    await daemon.killHard();
    await daemon.launch();
    assert.deepEqual(
      readdirSync(join(layers, "unsynced")).map((name) => readlinkSync(join(layers, "unsynced", name))),
      [boot],
    );
    await daemon.dockerOk(["rmi", "-f", "power/imported:1"]);
    assert.deepEqual(readdirSync(join(layers, "unsynced")), []);
    assert.equal(readdirSync(join(layers, "layers")).length, 1);
  },
);
