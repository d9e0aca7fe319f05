import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { isKind } from "../base/errors.ts";
import { btrfsTrees, probeBtrfs } from "./btrfs.ts";
import { createSnapshotter } from "./create-snapshotter.ts";
import { loopFileSystem } from "./loop.fixture.ts";
import { snapshotterSuite } from "./snapshot.suite.ts";
import { VfsSnapshotter } from "./vfs.ts";

const fixture = loopFileSystem("btrfs");
const place = fixture.path;
if (place === undefined) test("btrfs", { skip: fixture.why });
else {
  snapshotterSuite("btrfs", (root) => new VfsSnapshotter(root, { trees: btrfsTrees }), { place });
  test("a snapshot of much takes no room, and none is left behind", async () => {
    const work = mkdtempSync(join(place, "room-"));
    const snapshotter = createSnapshotter({ driver: "btrfs", root: work });
    snapshotter.prepare("a", undefined);
    const used = (): number =>
      Number(execFileSync("df", ["--output=used", "-B1", place], { encoding: "utf8" }).split("\n")[1]);
    const directory = snapshotter.mounts("a")[0]!.source;
    writeFileSync(join(directory, "much"), Buffer.alloc(32 * 1024 * 1024, 1));
    await snapshotter.commit("a", {
      chainId: `sha256:${"1".repeat(64)}`,
      diffId: `sha256:${"1".repeat(64)}`,
    });
    execFileSync("sync", ["-f", place]);
    const before = used();
    snapshotter.prepare("b", `sha256:${"1".repeat(64)}`);
    execFileSync("sync", ["-f", place]);
    assert.ok(used() - before < 4 * 1024 * 1024);
    snapshotter.remove("b");
    snapshotter.remove(`sha256:${"1".repeat(64)}`);
    await snapshotter.idle();
    const left = execFileSync("btrfs", ["subvolume", "list", place], { encoding: "utf8" });
    assert.equal(left, "");
    rmSync(work, { recursive: true });
  });
  after(() => fixture[Symbol.dispose]());
}

test("elsewhere it is refused with a word", () => {
  const root = mkdtempSync(join(tmpdir(), "gantry-btrfs-"));
  try {
    assert.throws(
      () => probeBtrfs(root),
      (error: unknown) =>
        isKind(error, "unavailable") && /btrfs does not work in .* it is no btrfs/.test(error.message),
    );
  } finally {
    rmSync(root, { recursive: true });
  }
});
