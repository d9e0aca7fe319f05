/** A machine that lost its power right after a pull: what was not on the disk yet is looked at, and made anew. */
import assert from "node:assert/strict";
import { lstatSync, readdirSync, rmSync, symlinkSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { flavour, TestDaemon } from "../helpers/daemon.ts";
import { busybox, busyboxTar } from "../helpers/images.ts";

/**
 * As if none of these had been on the disk yet when the machine went down: marks are links to the id of another boot. The
 * daemon's own marks go about a second after the work, so they are not waited for.
 */
function markAsSuspect(directory: string, names: readonly string[]): void {
  for (const name of names) {
    rmSync(join(directory, name), { force: true });
    symlinkSync("another-boot", join(directory, name));
  }
}

test(
  "layers are unpacked again from their blobs, spoilt blobs go",
  { skip: flavour === "docker" },
  async () => {
    await using daemon = await TestDaemon.start();
    const layers = join(daemon.dataRoot, "snapshots/overlay2");
    const content = join(daemon.dataRoot, "content");
    const layerNames = (): string[] => readdirSync(join(layers, "layers"));
    const blobNames = (): string[] =>
      readdirSync(join(content, "blobs/sha256")).map((hex) => `sha256-${hex}`);
    const archive = await busyboxTar(daemon.root);
    await daemon.dockerOk(["import", archive, "power/one:1"], { timeoutMs: 60_000 });
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
    // Others are as they were, and the broken one is mended by what the log says.
    assert.equal(
      await daemon.dockerOk(["run", "--rm", "--network", "none", "power/one:1", "/bin/busybox", "echo", "x"]),
      "x",
    );
    await daemon.dockerOk(["pull", busybox], { timeoutMs: 60_000 });
    assert.equal(await daemon.dockerOk(["run", "--rm", "--network", "none", busybox, "echo", "y"]), "y");
  },
);
