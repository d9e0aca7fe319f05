import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { errorText } from "../base/errors.ts";
import { fuseOverlayType, probeFuseOverlay } from "./fuse-overlay.ts";
import { OverlaySnapshotter } from "./overlay.ts";
import { snapshotterSuite } from "./snapshot.suite.ts";

/** Why it cannot be had here; undefined when it can. */
function missing(): string | undefined {
  const root = mkdtempSync(join(tmpdir(), "gantry-fuse-"));
  try {
    probeFuseOverlay(root);
    return undefined;
  } catch (error) {
    return errorText(error);
  } finally {
    rmSync(root, { recursive: true });
  }
}

const why = missing();
if (why !== undefined) test("fuse-overlayfs", { skip: why });
else
  snapshotterSuite(
    "fuse-overlayfs",
    (root) => new OverlaySnapshotter(root, { name: "fuse-overlayfs", mountType: fuseOverlayType }),
    // Version 1.10 says 1 for the second name of a file.
    { countsLinks: false },
  );
