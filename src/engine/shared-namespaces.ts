/** Namespaces that a container has together with another one: `--pid`, `--ipc` and `--network` with `container:NAME`. */
import { existsSync, mkdirSync } from "node:fs";
import { conflict, invalidArgument, isKind } from "../base/errors.ts";
import type { ContainerRecord } from "../container/container.ts";
import { mountContext } from "../container/labelling.ts";
import type { JoinedNamespaces } from "../container/spec.ts";
import { mount } from "../linux/mount.ts";
import type { IdMap } from "../linux/user-namespace.ts";
import type { HostConfig } from "../wire/container.ts";
import type { EngineContext } from "./context.ts";
import { namedContainer } from "./named-container.ts";
import { containerPaths } from "./paths.ts";

const prefix = "container:";

/**
 * Writes ids for names in `PidMode`, `IpcMode` and `NetworkMode`, so that a container which is renamed stays the one that was
 * meant. Throws `invalidArgument` when the container of a PID or IPC mode is not there; a network's is looked up at the start.
 */
export function withContainerIds(context: EngineContext, hostConfig: HostConfig): HostConfig {
  const byId = (mode: string | undefined, mayBeMissing: boolean): string | undefined => {
    if (mode === undefined || !mode.startsWith(prefix)) return mode;
    const name = mode.slice(prefix.length);
    if (!mayBeMissing) return prefix + namedContainer(context, name).id;
    try {
      return prefix + context.containers.resolve(name).id;
    } catch (error) {
      if (isKind(error, "notFound")) return mode;
      throw error;
    }
  };
  const { PidMode: pid, IpcMode: ipc, NetworkMode: network } = hostConfig;
  const result = { ...hostConfig };
  if (pid !== undefined) result.PidMode = byId(pid, false)!;
  if (ipc !== undefined) result.IpcMode = byId(ipc, false)!;
  if (network !== undefined) result.NetworkMode = byId(network, true)!;
  return result;
}

/** The container that a mode names, which must run. Throws `invalidArgument` or `conflict` with Docker's words. */
function runningOwner(context: EngineContext, mode: string): ContainerRecord {
  const owner = namedContainer(context, mode.slice(prefix.length));
  if (owner.state.status === "restarting")
    throw conflict(`Container ${owner.id} is restarting, wait until the container is running`);
  if (owner.state.pid === 0) throw conflict(`Container ${owner.id} is not running`);
  return owner;
}

/**
 * Finds the namespaces that a container joins, before anything is made for it. Throws as Docker does when their owner is
 * not there, does not run, or does not share.
 */
export function joinedNamespaces(context: EngineContext, { hostConfig }: ContainerRecord): JoinedNamespaces {
  const { PidMode: pid = "", IpcMode: ipc = "" } = hostConfig;
  const joined: { -readonly [key in keyof JoinedNamespaces]: string } = {};
  if (ipc.startsWith(prefix)) {
    const owner = runningOwner(context, ipc);
    const { shm } = containerPaths(context.config, owner.id);
    if (!existsSync(shm))
      throw invalidArgument(
        `container ${owner.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
      );
    joined.ipc = `/proc/${owner.state.pid}/ns/ipc`;
    joined.shm = shm;
  }
  if (pid.startsWith(prefix)) joined.pid = `/proc/${runningOwner(context, pid).state.pid}/ns/pid`;
  return joined;
}

/** Makes the `/dev/shm` of a container with `--ipc shareable` on the host, where another container can mount it too. */
export function makeSharedMemory(
  directory: string,
  sizeBytes: number,
  { map, mountLabel }: { readonly map?: IdMap | undefined; readonly mountLabel?: string | undefined } = {},
): void {
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  const options = [
    "nosuid",
    "nodev",
    "noexec",
    "mode=1777",
    `size=${sizeBytes}`,
    ...mountContext(mountLabel),
  ];
  if (map !== undefined) options.push(`uid=${map.uids.first}`, `gid=${map.gids.first}`);
  mount({ type: "tmpfs", source: "shm", options }, directory);
}
