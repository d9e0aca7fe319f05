/** The one worker that clients are told of. */
import { hostname } from "node:os";
import { hostPlatform } from "../../oci/platform.ts";
import type { platform } from "../../wire/buildkit/common.ts";
import type { workerRecord } from "../../wire/buildkit/control.ts";
import type { Encodable } from "../../wire/protobuf.ts";

/** The version of BuildKit whose protocol this is. */
export const buildkitVersion = {
  package: "github.com/moby/buildkit",
  version: "v0.13.2",
  revision: "",
} as const;

type PlatformMessage = Encodable<typeof platform>;

export function workers(): Encodable<typeof workerRecord>[] {
  const { os, architecture, variant } = hostPlatform();
  const host: PlatformMessage = {
    OS: os,
    Architecture: architecture,
    ...(variant === undefined ? {} : { Variant: variant }),
  };
  return [
    {
      ID: "gantry",
      Labels: new Map([
        ["org.mobyproject.buildkit.worker.executor", "oci"],
        ["org.mobyproject.buildkit.worker.hostname", hostname()],
        // Says that all exporters, several platforms and attestations can be had.
        ["org.mobyproject.buildkit.worker.snapshotter", "overlayfs"],
      ]),
      platforms: [host],
      GCPolicy: [],
      BuildkitVersion: buildkitVersion,
    },
  ];
}
