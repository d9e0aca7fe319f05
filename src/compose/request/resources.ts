/** Limits and devices of a service, in the API's words. */
import type { HostConfig, RestartPolicy, Ulimit } from "../../wire/container.ts";
import type { DeviceRequest, Service } from "../model/project.ts";

/** The part of a container's settings that says what it may use. */
export function resourcesOf(service: Service): HostConfig {
  const limits = service.deploy?.resources?.limits;
  const reservations = service.deploy?.resources?.reservations;
  const pids = limits?.pids ?? service.pids_limit ?? 0;
  const cpus = limits?.cpus ?? service.cpus ?? 0;
  const requests = [...(service.gpus ?? []).map(gpuRequest), ...(reservations?.devices ?? [])];
  return {
    ...defined({
      CgroupParent: service.cgroup_parent,
      Memory: limits?.memory ?? service.mem_limit,
      MemorySwap: service.memswap_limit,
      MemorySwappiness: service.mem_swappiness,
      MemoryReservation: reservations?.memory ?? service.mem_reservation,
      OomKillDisable: service.oom_kill_disable,
      CpuCount: service.cpu_count,
      CpuPeriod: service.cpu_period,
      CpuQuota: service.cpu_quota,
      CpuRealtimePeriod: service.cpu_rt_period,
      CpuRealtimeRuntime: service.cpu_rt_runtime,
      CpuShares: service.cpu_shares,
      CpusetCpus: service.cpuset,
      DeviceCgroupRules: service.device_cgroup_rules,
      OomScoreAdj: service.oom_score_adj,
    }),
    ...(cpus === 0 ? {} : { NanoCpus: Math.round(cpus * 1e9) }),
    ...(service.cpu_percent === undefined ? {} : { CpuPercent: Math.trunc(service.cpu_percent * 100) }),
    ...(pids === 0 ? {} : { PidsLimit: pids }),
    ...blkio(service),
    ...(service.devices === undefined
      ? {}
      : {
          Devices: service.devices.map(({ source, target, permissions }) => ({
            PathOnHost: source,
            PathInContainer: target,
            CgroupPermissions: permissions ?? "rwm",
          })),
        }),
    ...(requests.length === 0 ? {} : { DeviceRequests: requests.map(deviceRequest) }),
    ...(service.ulimits === undefined ? {} : { Ulimits: ulimits(service) }),
  };
}

/** The entries that are not undefined. */
export function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

function gpuRequest(request: DeviceRequest): DeviceRequest {
  return { ...request, capabilities: [...(request.capabilities ?? []), "gpu"] };
}

function deviceRequest(request: DeviceRequest): Record<string, unknown> {
  return {
    Capabilities: [request.capabilities ?? []],
    Count: request.count ?? 0,
    DeviceIDs: request.device_ids ?? null,
    Driver: request.driver ?? "",
    Options: request.options ?? null,
  };
}

function ulimits(service: Service): Ulimit[] {
  return Object.entries(service.ulimits ?? {}).map(([name, { single = 0, soft, hard }]) => ({
    Name: name,
    Soft: soft ?? single,
    Hard: hard ?? single,
  }));
}

function blkio({ blkio_config: config }: Service): HostConfig {
  if (config === undefined) return {};
  const rates = (list: readonly { path: string; rate: number }[] | undefined) =>
    list?.map(({ path, rate }) => ({ Path: path, Rate: rate }));
  return defined({
    BlkioWeight: config.weight,
    BlkioWeightDevice: config.weight_device?.map(({ path, weight }) => ({ Path: path, Weight: weight })),
    BlkioDeviceReadBps: rates(config.device_read_bps),
    BlkioDeviceReadIOps: rates(config.device_read_iops),
    BlkioDeviceWriteBps: rates(config.device_write_bps),
    BlkioDeviceWriteIOps: rates(config.device_write_iops),
  });
}

const policies: Readonly<Record<string, string>> = { none: "no", any: "always" };

/** Whether and how often a container is started again: `deploy.restart_policy` wins over `restart`. */
export function restartPolicyOf(service: Service): RestartPolicy | undefined {
  const policy = service.deploy?.restart_policy;
  if (policy !== undefined) {
    const condition = policy.condition ?? "any";
    return { Name: policies[condition] ?? condition, MaximumRetryCount: policy.max_attempts ?? 0 };
  }
  if ((service.restart ?? "") === "") return undefined;
  const [name = "", attempts = "0"] = service.restart!.split(":");
  return { Name: policies[name] ?? name, MaximumRetryCount: Number(attempts) || 0 };
}
