import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { conflict } from "../base/errors.ts";
import { bfqWeights, containerResources } from "../container/resources.ts";
import { validateRestartPolicy } from "../container/validate.ts";
import { validateLimits } from "../container/validate-limits.ts";
import { controllerDirectory } from "../linux/cgroup.ts";
import { withFileErrors } from "../linux/fs-error.ts";
import type { HostConfig } from "../wire/container.ts";
import { cancelRestart } from "./cancel-restart.ts";
import { emitContainer, type EngineContext } from "./context.ts";
import { containerPaths } from "./paths.ts";

/** What can be changed; everything else in a request is for containers of other systems, and not looked at. */
const numbers = [
  "CpuShares",
  "Memory",
  "NanoCpus",
  "BlkioWeight",
  "CpuPeriod",
  "CpuQuota",
  "CpuRealtimePeriod",
  "CpuRealtimeRuntime",
  "MemoryReservation",
  "MemorySwap",
] as const;
const texts = ["CpusetCpus", "CpusetMems"] as const;

/**
 * Changes limits and restart policy, of a running container at once. What is zero or missing in `change` stays as it is.
 * Returns warnings. Throws `conflict` and `invalidArgument` in Docker's words; then nothing was changed.
 */
export async function containerUpdate(
  context: EngineContext,
  nameOrId: string,
  change: HostConfig,
): Promise<string[]> {
  const { id } = context.containers.resolve(nameOrId);
  using _ = await context.locks.acquire(id);
  const container = context.containers.resolve(id);
  const { status } = container.state;
  if (status === "removing" || status === "dead")
    throw conflict(`Cannot update container ${id}: Container is marked for removal and cannot be "update".`);
  validateRestartPolicy({ RestartPolicy: change.RestartPolicy ?? {} });
  const cannotUpdate = (reason: string): Error => conflict(`Cannot update container ${id}: ${reason}`);
  if ((change.Memory ?? 0) !== 0) validateLimits({ Memory: change.Memory! });
  const contradiction = contradictingLimits(container.hostConfig, change);
  if (contradiction !== undefined) throw cannotUpdate(contradiction);
  const hostConfig = mergeLimits(container.hostConfig, change);
  const warnings = validateLimits(hostConfig);
  const policy = change.RestartPolicy?.Name ?? "";
  if (policy !== "") {
    if (hostConfig.AutoRemove === true && policy !== "no")
      throw cannotUpdate("Restart policy cannot be updated because AutoRemove is enabled for the container");
    hostConfig.RestartPolicy = {
      Name: policy,
      MaximumRetryCount: change.RestartPolicy?.MaximumRetryCount ?? 0,
    };
  }
  if ((status === "running" || status === "paused") && hasLimits(change))
    await applyLive(context, id, hostConfig);
  const updated = context.containers.update(id, { hostConfig });
  // A restart that the old policy wanted is not due any more.
  if (policy === "no") cancelRestart(context, updated);
  emitContainer(context, updated, "update");
  return warnings;
}

function hasLimits(change: HostConfig): boolean {
  return (
    numbers.some((field) => (change[field] ?? 0) !== 0) ||
    texts.some((field) => (change[field] ?? "") !== "") ||
    (change.PidsLimit ?? undefined) !== undefined
  );
}

const isSet = (config: HostConfig, field: (typeof numbers)[number]): boolean => (config[field] ?? 0) !== 0;

/** What of a change contradicts what is set, in Docker's words; undefined when nothing does. */
export function contradictingLimits(current: HostConfig, change: HostConfig): string | undefined {
  const conflicting = (what: string, set: string): string =>
    `Conflicting options: ${what} cannot be updated as ${set} has already been set`;
  for (const field of ["CpuPeriod", "CpuQuota"] as const) {
    const name = field === "CpuPeriod" ? "CPU Period" : "CPU Quota";
    if (isSet(change, "NanoCpus") && isSet(current, field)) return conflicting("Nano CPUs", name);
    if (isSet(change, field) && isSet(current, "NanoCpus")) return conflicting(name, "NanoCPUs");
  }
  // As with Docker also where the swap has no limit (0 or -1): it must be said again, together with the memory's.
  if (isSet(change, "Memory") && !isSet(change, "MemorySwap") && change.Memory! > (current.MemorySwap ?? 0))
    return "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time";
  return undefined;
}

/** The container's settings with the changes. */
export function mergeLimits(current: HostConfig, change: HostConfig): HostConfig {
  const merged: HostConfig = { ...current };
  for (const field of numbers) if (isSet(change, field)) merged[field] = change[field]!;
  for (const field of texts) if ((change[field] ?? "") !== "") merged[field] = change[field]!;
  if (typeof change.PidsLimit === "number") merged.PidsLimit = change.PidsLimit > 0 ? change.PidsLimit : null;
  return merged;
}

/** Sets the weights that the runtime does not know how to set. */
export function writeBfqWeights(context: EngineContext, id: string, hostConfig: HostConfig): void {
  const cgroup = `/${hostConfig.CgroupParent || context.config.cgroupParent}/${id}`;
  const directory = controllerDirectory(context.cgroups, "blkio", cgroup);
  if (directory === undefined) return;
  for (const [name, value] of bfqWeights(hostConfig))
    withFileErrors("set the weight for block I/O", () => writeFileSync(join(directory, name), value));
}

async function applyLive(context: EngineContext, id: string, hostConfig: HostConfig): Promise<void> {
  const { devices: _, ...resources } = containerResources(hostConfig, []);
  const runtime = context.runtimes.get(hostConfig.Runtime ?? "");
  const path = join(containerPaths(context.config, id).bundle, "update.json");
  writeFileSync(path, JSON.stringify(resources), { mode: 0o600 });
  try {
    await context.monitor.update(id, runtime, path);
  } finally {
    rmSync(path, { force: true });
  }
  writeBfqWeights(context, id, hostConfig);
  // Not every runtime knows how to take this limit back (crun 1.8 writes -1, which the kernel refuses).
  const cgroup = `/${hostConfig.CgroupParent || context.config.cgroupParent}/${id}`;
  const pids = controllerDirectory(context.cgroups, "pids", cgroup);
  if (resources.pids === undefined && pids !== undefined)
    withFileErrors("lift the limit of processes", () => writeFileSync(join(pids, "pids.max"), "max"));
}
