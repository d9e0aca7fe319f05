/** The daemon's options that are about containers: their checks, and what the engine is told of them. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { errorText, invalidArgument } from "./base/errors.ts";
import { log } from "./base/log.ts";
import { parseBytes } from "./base/sizes.ts";
import { checkUlimit } from "./container/resources.ts";
import { customSeccomp } from "./container/seccomp.ts";
import type { SeccompDefault } from "./container/defaults.ts";
import type { DaemonOptions } from "./daemon-config.ts";
import type { EngineConfig, HostDefaults } from "./engine/config.ts";
import { detectCgroups } from "./linux/cgroup.ts";

/** Throws `invalidArgument` for values that make no sense, in Docker's words where it has some. */
export function checkContainerOptions(options: DaemonOptions): void {
  defaultUlimits(options);
  shmSizeBytes(options);
  ipcMode(options);
  cgroupnsMode(options);
  for (const option of options.execOptions) checkExecOption(option);
  const { cpuRealtimePeriodUs: periodUs, cpuRealtimeRuntimeUs: runtimeUs, oomScoreAdjust: score } = options;
  if (!Number.isInteger(periodUs) || periodUs < 0 || !Number.isInteger(runtimeUs) || runtimeUs < 0)
    throw invalidArgument("cpu-rt-period and cpu-rt-runtime are microseconds, 0 or more");
  if (periodUs > 0 && runtimeUs > periodUs)
    throw invalidArgument("cpu-rt-runtime cannot be higher than cpu-rt-period");
  if (!Number.isInteger(score) || score < -1000 || score > 1000)
    throw invalidArgument(`invalid oom-score-adjust: ${score} (want -1000 to 1000)`);
}

/** The one execution option of Docker's on Linux. */
function checkExecOption(option: string): void {
  const at = option.indexOf("=");
  const key = option.slice(0, Math.max(at, 0)).trim();
  const value = option.slice(at + 1).trim();
  if (key !== "native.cgroupdriver") throw invalidArgument(`Unknown option "${key || option}"`);
  if (value === "systemd")
    throw invalidArgument("native.cgroupdriver=systemd is not served: gantry makes control groups itself", {
      hint: "Leave the option out, or say native.cgroupdriver=cgroupfs.",
    });
  if (value !== "cgroupfs")
    throw invalidArgument(`native.cgroupdriver option ${value} is not cgroupfs or systemd`);
}

function defaultUlimits({
  defaultUlimits: limits,
}: DaemonOptions): NonNullable<DaemonOptions["defaultUlimits"][string]>[] {
  return Object.entries(limits).map(([name, { Soft, Hard }]) => {
    const limit = { Name: name, Soft: Soft!, Hard: Hard! };
    try {
      checkUlimit(limit);
    } catch (error) {
      throw invalidArgument(`invalid default ulimit: ${errorText(error)}`, { cause: error });
    }
    return limit;
  });
}

function shmSizeBytes({ defaultShmSize: text }: DaemonOptions): number {
  let bytes: number;
  try {
    bytes = parseBytes(text);
  } catch (error) {
    throw invalidArgument(`invalid default-shm-size: ${errorText(error)}`, { cause: error });
  }
  if (bytes <= 0) throw invalidArgument(`invalid default-shm-size: ${text} (want more than 0 bytes)`);
  return bytes;
}

function ipcMode({ defaultIpcMode: mode }: DaemonOptions): HostDefaults["ipcMode"] {
  if (mode === "") return "private";
  if (mode === "private" || mode === "shareable") return mode;
  const hint = 'use "shareable" or "private"';
  throw invalidArgument(
    mode === "host" || mode === "none" || /^container:./.test(mode)
      ? `IPC mode "${mode}" is not supported as default value; ${hint}`
      : `default IPC mode setting (${mode}) is invalid; ${hint}`,
  );
}

function cgroupnsMode({ defaultCgroupnsMode: mode }: DaemonOptions): HostDefaults["cgroupnsMode"] {
  if (mode === "") return undefined;
  if (mode === "private" || mode === "host") return mode;
  throw invalidArgument(`default cgroup namespace mode (${mode}) is invalid; use "host" or "private"`);
}

/** Throws `invalidArgument` for a file that cannot be read or is no profile. */
function seccompDefault({ seccompProfile: name }: DaemonOptions): SeccompDefault {
  if (name === "" || name === "builtin") return { name: "builtin" };
  if (name === "unconfined") return { name };
  let json: string;
  try {
    json = readFileSync(name, "utf8");
  } catch (error) {
    throw invalidArgument(`opening seccomp profile (${name}) failed: ${errorText(error)}`, { cause: error });
  }
  customSeccomp(json, []);
  return { name, json };
}

/** The engine's share of these options. Throws `invalidArgument` for files that are not there or are no profile. */
export function containerConfig(
  options: DaemonOptions,
): Pick<EngineConfig, "containerDefaults" | "hostDefaults" | "cpuRealtime"> {
  const { initPath } = options;
  if (initPath !== "" && !existsSync(initPath))
    throw invalidArgument(`the init program ${initPath} of --init-path does not exist`);
  const cpuRealtime = { periodUs: options.cpuRealtimePeriodUs, runtimeUs: options.cpuRealtimeRuntimeUs };
  if ((cpuRealtime.periodUs > 0 || cpuRealtime.runtimeUs > 0) && detectCgroups().version === 2)
    throw invalidArgument("daemon-scoped cpu-rt-period and cpu-rt-runtime are not implemented for cgroup v2");
  return {
    containerDefaults: {
      ulimits: defaultUlimits(options),
      seccomp: seccompDefault(options),
      init: options.init,
      initPath: initPath || undefined,
      noNewPrivileges: options.noNewPrivileges,
    },
    hostDefaults: {
      shmSizeBytes: shmSizeBytes(options),
      ipcMode: ipcMode(options),
      cgroupnsMode: cgroupnsMode(options),
    },
    cpuRealtime,
  };
}

/** Sets the daemon's own out-of-memory score (proc(5)); where that is not allowed, a warning says so. */
export function adjustOomScore(score: number): void {
  if (score === 0) return;
  try {
    writeFileSync("/proc/self/oom_score_adj", String(score));
  } catch (error) {
    log.warn("the daemon's out-of-memory score stays as it is", { asked: score, error: errorText(error) });
  }
}
