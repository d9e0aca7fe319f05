import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { loopFileSystem } from "./loop.fixture.ts";
import { snapshotterSuite } from "./snapshot.suite.ts";
import { VfsSnapshotter } from "./vfs.ts";

snapshotterSuite("vfs", (root) => new VfsSnapshotter(root));

const fixture = loopFileSystem("xfs");
after(() => fixture[Symbol.dispose]());

test(
  "copies share their blocks where the file system can",
  { skip: fixture.path === undefined && fixture.why },
  async () => {
    const place = fixture.path!;
    const root = mkdtempSync(join(place, "vfs-"));
    const snapshotter = new VfsSnapshotter(root);
    snapshotter.prepare("a", undefined);
    writeFileSync(join(snapshotter.mounts("a")[0]!.source, "much"), Buffer.alloc(32 * 1024 * 1024, 1));
    const layer = `sha256:${"1".repeat(64)}`;
    await snapshotter.commit("a", { chainId: layer, diffId: layer });
    const used = (): number => {
      execFileSync("sync", ["-f", place]);
      return Number(execFileSync("df", ["--output=used", "-B1", place], { encoding: "utf8" }).split("\n")[1]);
    };
    const before = used();
    snapshotter.prepare("b", layer);
    assert.ok(used() - before < 8 * 1024 * 1024, `${used() - before} bytes more`);
    await snapshotter.idle();
    rmSync(root, { recursive: true });
  },
);
