import type { ContainerDefaults } from "../container/defaults.ts";
import type { IdMap } from "../linux/user-namespace.ts";

import type { LogConfig } from "../wire/container.ts";

/** What the composition root decides once: where things lie and how the daemon behaves by default. */
export interface EngineConfig {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly hosts: readonly string[];
  /** Parent of every container's cgroup, e.g. `gantry`; containers are `<parent>/<id>`. */
  readonly cgroupParent: string;
  readonly defaultRuntime: string | undefined;
  /** Docker's daemon keys for resolv.conf. */
  readonly dns: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly dnsSearch: readonly string[];
  /** What `host-gateway` stands for; empty for the default bridge's addresses. */
  readonly hostGatewayIps: readonly string[];
  /** Address that published ports bind to when none is given; empty for all. */
  readonly publishIp: string;
  /** Where networks without a subnet of their own get one; empty for Docker's. */
  readonly defaultAddressPools: readonly { readonly base: string; readonly size: number }[];
  readonly debug: boolean;
  /** Log driver and options of containers that ask for none. */
  readonly logging: LogConfig;
  /** Labels of the daemon, `key=value`; shown by `info`. */
  readonly labels: readonly string[];
  readonly insecureRegistries: readonly string[];
  readonly registryMirrors: readonly string[];
  readonly maxConcurrentDownloads: number;
  readonly maxConcurrentUploads: number;
  readonly maxDownloadAttempts: number;
  /** Ids of containers on the host (`--userns-remap`); undefined when they are the host's. */
  readonly idMap: IdMap | undefined;
  /** Where CDI specifications of devices lie. */
  readonly cdiDirectories: readonly string[];
  /** Containers go on without the daemon. */
  readonly liveRestore: boolean;
  readonly shutdownTimeoutSeconds: number;
  /** What containers get that do not say otherwise, looked at when they start. */
  readonly containerDefaults: ContainerDefaults;
  /** The same, written into what a container is when it is made. */
  readonly hostDefaults: HostDefaults;
  /** Real-time scheduler time of the containers' parent control group, in microseconds; 0 for what it has. */
  readonly cpuRealtime: { readonly periodUs: number; readonly runtimeUs: number };
}

export interface HostDefaults {
  readonly shmSizeBytes: number;
  readonly ipcMode: "private" | "shareable";
  /** Undefined: private on control groups of version 2, the host's on version 1. */
  readonly cgroupnsMode: "private" | "host" | undefined;
}

export const plainHostDefaults: HostDefaults = {
  shmSizeBytes: 64 * 1024 * 1024,
  ipcMode: "private",
  cgroupnsMode: undefined,
};

/** gantry's own version, one place. */
export const engineVersion = "0.1.0";
/** Newest and oldest version of the Engine API that is spoken. */
export const apiVersion = "1.55";
export const minApiVersion = "1.24";
