/** The one worker that clients are told of. */
import { hostname } from "node:os";
import type { GcRule } from "../../build/gc-policy.ts";
import { hostPlatform } from "../../oci/platform.ts";
import type { platform } from "../../wire/buildkit/common.ts";
import type { gcPolicy, workerRecord } from "../../wire/buildkit/control.ts";
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

/** A rule of garbage collection in BuildKit's words. */
function gcPolicyOf(rule: GcRule): Encodable<typeof gcPolicy> {
  return {
    all: rule.all,
    keepDuration: (rule.unusedForMs ?? 0) * 1e6,
    // Older clients know this one alone, as the room to keep.
    reservedSpace: rule.reservedBytes ?? rule.maxUsedBytes ?? 0,
    maxUsedSpace: rule.maxUsedBytes ?? 0,
    minFreeSpace: rule.minFreeBytes ?? 0,
    filters: Object.entries(rule.filters).flatMap(([key, values]) =>
      values.map((value) => `${key}==${value}`),
    ),
  };
}

export async function workers(
  hostGateway: HostGateway,
  gcRules: readonly GcRule[],
): Promise<Encodable<typeof workerRecord>[]> {
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
      GCPolicy: gcRules.map(gcPolicyOf),
      BuildkitVersion: buildkitVersion,
    },
  ];
}
