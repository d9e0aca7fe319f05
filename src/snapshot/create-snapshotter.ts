import { join } from "node:path";
import { invalidArgument } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { OverlaySnapshotter } from "./overlay.ts";
import { probeOverlay } from "./overlay-probe.ts";
import type { Snapshotter } from "./snapshot.ts";
import { VfsSnapshotter } from "./vfs.ts";

/**
 * Opens the snapshots below `<root>/<driver>`. Without a driver: overlay2 where it works, else vfs. Throws
 * `unavailable` when the asked driver does not work here, `invalidArgument` for an unknown one.
 */
export function createSnapshotter(options: { driver: string | undefined; root: string }): Snapshotter {
  const at = (driver: string): string => join(options.root, driver);
  switch (options.driver) {
    case "overlay2":
      probeOverlay(at("overlay2"));
      return new OverlaySnapshotter(at("overlay2"));
    case "vfs":
      return new VfsSnapshotter(at("vfs"));
    case undefined:
    case "":
      try {
        return createSnapshotter({ ...options, driver: "overlay2" });
      } catch (error) {
        log.warn("overlay2 does not work here; layers are copied instead, which is slow", { error });
        return createSnapshotter({ ...options, driver: "vfs" });
      }
    default:
      throw invalidArgument(`unknown storage driver ${options.driver}: there are overlay2 and vfs`);
  }
}
