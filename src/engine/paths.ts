import { join } from "node:path";
import type { EngineConfig } from "./config.ts";

/** Where a container's files lie: what must survive a reboot under the data root, the rest on the exec root (a tmpfs). */
export interface ContainerPaths {
  /** `<data-root>/containers/<id>`: log, hosts, hostname, resolv.conf. */
  readonly directory: string;
  /** What conmon writes, until the log driver has taken it. */
  readonly rawLog: string;
  readonly hosts: string;
  readonly hostname: string;
  readonly resolvConf: string;
  /** Names of anonymous volumes, one a line, while a container is made or removed that is not on record. */
  readonly unownedVolumes: string;
  /** OCI bundle, `<exec-root>/containers/<id>`. */
  readonly bundle: string;
  readonly rootfs: string;
  /** Where the `/dev/shm` of a container with `--ipc shareable` is mounted. */
  readonly shm: string;
  /** Mounts that are made before the runtime binds them. */
  readonly mounts: string;
  /** File that the user namespace of a container with ids of its own is bound to. */
  readonly userNamespace: string;
}

export function containerPaths(config: EngineConfig, id: string): ContainerPaths {
  const directory = join(config.dataRoot, "containers", id);
  const bundle = join(config.execRoot, "containers", id);
  return {
    directory,
    rawLog: join(directory, "container.log"),
    hosts: join(directory, "hosts"),
    hostname: join(directory, "hostname"),
    resolvConf: join(directory, "resolv.conf"),
    unownedVolumes: join(directory, "unowned-volumes"),
    bundle,
    rootfs: join(bundle, "rootfs"),
    shm: join(bundle, "shm"),
    mounts: join(bundle, "mounts"),
    userNamespace: join(bundle, "userns"),
  };
}
