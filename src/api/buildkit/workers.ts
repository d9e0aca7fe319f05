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

/** Tells clients what `host-gateway` stands for: they put addresses into what they ask for. */
const hostGatewayLabel = "org.mobyproject.buildkit.worker.moby.host-gateway-ip";

export type HostGateway = () => Promise<string | undefined>;

export async function workers(hostGateway: HostGateway): Promise<Encodable<typeof workerRecord>[]> {
  const gateway = await hostGateway();
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
        ...(gateway === undefined ? [] : [[hostGatewayLabel, gateway] as const]),
      ]),
      platforms: [host],
      GCPolicy: [],
      BuildkitVersion: buildkitVersion,
    },
  ];
}
