/** SELinux labels of containers: chosen when they are made, given to what they use when they start. */
import { invalidArgument } from "../base/errors.ts";
import type { ContainerRecord } from "../container/container.ts";
import { mountContext, type ReservedLabels } from "../container/labelling.ts";
import { parseSecurityOptions } from "../container/security-options.ts";
import { wordsOf } from "../container/selinux.ts";
import type { Mount } from "../linux/mount.ts";
import type { HostConfig, MountPoint } from "../wire/container.ts";
import type { EngineContext } from "./context.ts";
import { nameFilePaths } from "./network-files.ts";

const ownerPrefix = "container:";

/**
 * A container that shares another one's processes or memory has its label, too, unless it asks for one. Throws
 * `invalidArgument` when it would need two.
 */
export function withSharedLabel(context: EngineContext, hostConfig: HostConfig): HostConfig {
  const options = hostConfig.SecurityOpt ?? [];
  if (context.labelling === undefined || options.some((option) => /^(label[=:]|disable$)/.test(option)))
    return hostConfig;
  const shared = [hostConfig.IpcMode ?? "", hostConfig.PidMode ?? ""]
    .filter((mode) => mode.startsWith(ownerPrefix))
    .map((mode) => wordsOf(context.containers.resolve(mode.slice(ownerPrefix.length)).processLabel ?? ""));
  const [words = [], others = words] = shared;
  // Docker's rule: what the one has and the other has not is no contradiction.
  if (words.length === 0 || others.length === 0) return hostConfig;
  if (words.join() !== others.join())
    throw invalidArgument("--ipc and --pid containers SELinux labels aren't the same");
  return { ...hostConfig, SecurityOpt: [...options, ...words.map((word) => `label=${word}`)] };
}

/** Labels for a new container; empty ones where there is no SELinux. Throws `invalidArgument` in Docker's words. */
export function reserveLabels(context: EngineContext, hostConfig: HostConfig): ReservedLabels {
  const { labelling, containers } = context;
  if (labelling === undefined) return { processLabel: "", mountLabel: "", [Symbol.dispose]() {} };
  const inUse = containers
    .list()
    .flatMap(({ processLabel = "", mountLabel = "" }) => [processLabel, mountLabel]);
  return labelling.choose(parseSecurityOptions(hostConfig.SecurityOpt ?? []).labels, inUse);
}

/** Mounts of a container's root, or of an image in it, with the container's label for every file. */
export function labelledMounts(mounts: readonly Mount[], mountLabel: string | undefined): Mount[] {
  const options = mountContext(mountLabel);
  return mounts.map((mount) =>
    // A bind shows what is there, with the labels that it has.
    options.length === 0 || mount.options.includes("bind")
      ? mount
      : { ...mount, options: [...mount.options, ...options] },
  );
}

/** Labels what a container's mounts show, as their modes ask for. Throws as {@link Labelling.relabelSource}. */
export async function relabelMounts(
  context: EngineContext,
  { mountLabel = "" }: ContainerRecord,
  mounts: readonly MountPoint[],
): Promise<void> {
  const { labelling } = context;
  if (labelling === undefined || mountLabel === "") return;
  for (const { Type, Source, Mode } of mounts)
    if (Type === "bind" || Type === "volume") await labelling.relabelSource(Source, Mode, mountLabel);
}

/** Labels the files that name hosts; those of another container, whose network this one has, are then for both. */
export async function relabelNetworkFiles(context: EngineContext, container: ContainerRecord): Promise<void> {
  const { labelling } = context;
  if (labelling === undefined) return;
  const { hosts, hostname, resolvConf } = nameFilePaths(context, container);
  const { hostConfig, mountLabel = "" } = container;
  const isShared = hostConfig.NetworkMode?.startsWith(ownerPrefix) === true;
  for (const path of [hosts, hostname, resolvConf]) await labelling.relabelOwn(path, mountLabel, isShared);
}
