import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { EngineError, errorText, invalidArgument } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { btrfsTrees, probeBtrfs } from "./btrfs.ts";
import { fuseOverlayType, probeFuseOverlay } from "./fuse-overlay.ts";
import { OverlaySnapshotter } from "./overlay.ts";
import { probeOverlay } from "./overlay-probe.ts";
import type { Snapshotter } from "./snapshot.ts";
import { VfsSnapshotter } from "./vfs.ts";

interface Driver {
  /** Throws `unavailable` with the reason when it does not work in the directory. */
  probe(root: string): void;
  open(root: string, reason: string): Snapshotter;
}

/** The first that works is taken; vfs works everywhere. */
const drivers: Readonly<Record<string, Driver>> = {
  overlay2: { probe: probeOverlay, open: (root, reason) => new OverlaySnapshotter(root, { reason }) },
  btrfs: {
    probe: probeBtrfs,
    open: (root, reason) => new VfsSnapshotter(root, { trees: btrfsTrees, reason }),
  },
  "fuse-overlayfs": {
    probe: probeFuseOverlay,
    open: (root, reason) =>
      new OverlaySnapshotter(root, { name: "fuse-overlayfs", mountType: fuseOverlayType, reason }),
  },
  vfs: { probe: () => {}, open: (root, reason) => new VfsSnapshotter(root, { reason }) },
};

/**
 * Opens the snapshots below `<root>/<driver>`. Without a driver it is one that has layers there already; when there is none, the
 * first that works here: overlay2, btrfs, fuse-overlayfs, vfs. Throws `unavailable` when the asked driver does not work
 * here or the first one that has layers does not, `invalidArgument` for an unknown one.
 */
export function createSnapshotter(options: { driver: string | undefined; root: string }): Snapshotter {
  const { root } = options;
  const at = (name: string): string => join(root, name);
  if (options.driver !== undefined && options.driver !== "") {
    const driver = Object.hasOwn(drivers, options.driver) ? drivers[options.driver] : undefined;
    if (driver === undefined)
      throw invalidArgument(
        `unknown storage driver ${options.driver}: there are ${Object.keys(drivers).join(", ")}`,
      );
    driver.probe(at(options.driver));
    return driver.open(at(options.driver), "asked for with --storage-driver");
  }
  const names = Object.keys(drivers);
  const used = names.filter((name) => hasLayers(at(name)));
  const failures: string[] = [];
  for (const name of [...used, ...names.filter((it) => !used.includes(it))]) {
    const driver = drivers[name]!;
    try {
      driver.probe(at(name));
    } catch (error) {
      if (!(error instanceof EngineError) || error.kind !== "unavailable") throw error;
      failures.push(errorText(error));
      if (used.includes(name)) throw withoutItsLayers(name, failures);
      continue;
    }
    if (failures.length > 0)
      log.warn(`storage driver ${name} is used, because others do not work here`, { failures });
    const why = used.includes(name) ? "it has layers here" : `it is the first that works here`;
    return driver.open(at(name), [why, ...failures].join("; "));
  }
  throw new EngineError("internal", "no storage driver works");
}

/** With another driver the daemon would start without the images and containers that are there. */
function withoutItsLayers(name: string, failures: readonly string[]): EngineError {
  return new EngineError(
    "unavailable",
    `the images and containers here are stored by ${name}, which cannot be used now: ${failures.join("; ")}`,
    {
      hint: `After an upgrade of the kernel's package the machine has to be started anew before modules can be loaded. \
Another driver, by --storage-driver, starts without these images and containers.`,
    },
  );
}

function hasLayers(root: string): boolean {
  return existsSync(join(root, "layers")) && readdirSync(join(root, "layers")).length > 0;
}
