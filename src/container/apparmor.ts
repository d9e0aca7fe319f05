/** AppArmor (apparmor(7)): which profile a container's processes get, on hosts whose kernel confines by it. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { EngineError } from "../base/errors.ts";
import { log } from "../base/log.ts";
import type { HostConfig } from "../wire/container.ts";
import { parseSecurityOptions } from "./security-options.ts";

/** Name of the default profile. Docker's, since compose files and scripts name it. */
const defaultProfileName = "docker-default";

const loadedProfiles = "/sys/kernel/security/apparmor/profiles";
const parserPath = "/sbin/apparmor_parser";

let enabled: boolean | undefined;

/** True when this host's kernel enforces AppArmor profiles and lets this process load them. */
export function hasAppArmor(): boolean {
  enabled ??=
    existsSync(loadedProfiles) &&
    (readGently("/sys/module/apparmor/parameters/enabled") ?? "").startsWith("Y");
  return enabled;
}

/**
 * The profile for a container; undefined where the host has no AppArmor. The default one is loaded when it is not, also
 * when somebody unloaded it meanwhile. Throws `unavailable` when a profile that was asked for by name is not loaded.
 */
export function containerProfile(asked: string, privileged: boolean): string | undefined {
  if (!hasAppArmor()) return undefined;
  if (asked === "") {
    if (privileged) return "unconfined";
    return ensureDefaultProfile() ? defaultProfileName : undefined;
  }
  if (asked === defaultProfileName) ensureDefaultProfile();
  if (asked !== "unconfined" && !isLoaded(asked))
    throw new EngineError("unavailable", `the AppArmor profile ${asked} is not loaded on this host`, {
      hint: "Load it with apparmor_parser, or choose --security-opt apparmor=unconfined.",
    });
  return asked;
}

/** The name of the profile of a container that was started, for `inspect`; empty where the host has no AppArmor. */
export function shownProfile({ SecurityOpt, Privileged }: HostConfig): string {
  if (!hasAppArmor()) return "";
  const { apparmor } = parseSecurityOptions(SecurityOpt ?? []);
  return apparmor || (Privileged === true ? "unconfined" : defaultProfileName);
}

function isLoaded(name: string): boolean {
  const lines = (readGently(loadedProfiles) ?? "").split("\n");
  return lines.some((line) => line.startsWith(`${name} (`));
}

/** False when it cannot be loaded, which is said once. */
function ensureDefaultProfile(): boolean {
  if (isLoaded(defaultProfileName)) return true;
  if (!existsSync(parserPath)) return warnOnce("apparmor_parser is not installed");
  const { status, stderr } = spawnSync(parserPath, ["-Kr"], {
    input: defaultProfile(existsSync("/etc/apparmor.d/tunables/global")),
    encoding: "utf8",
  });
  return status === 0 || warnOnce(stderr.trim());
}

let isWarned = false;

function warnOnce(reason: string): false {
  if (!isWarned) log.warn("containers run without the default AppArmor profile", { reason });
  isWarned = true;
  return false;
}

/**
 * What a container may do beyond files and network is nothing that reaches the kernel's settings or the host: the paths
 * that are masked or read-only are refused here once more, for the case that somebody mounts them anew.
 */
function defaultProfile(hasTunables: boolean): string {
  const proc = hasTunables ? "@{PROC}" : "/proc";
  return `${hasTunables ? "#include <tunables/global>\n" : ""}
profile ${defaultProfileName} flags=(attach_disconnected,mediate_deleted) {
  network,
  capability,
  file,
  umount,
  signal (receive) peer=unconfined,
  signal (receive) peer=runc,
  signal (receive) peer=crun,
  signal (send,receive) peer=${defaultProfileName},
  ptrace (trace,read,tracedby,readby) peer=${defaultProfileName},

  deny ${proc}/* w,
  deny ${proc}/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9/]*}/** w,
  deny ${proc}/sys/[^k]** w,
  deny ${proc}/sys/kernel/{?,??,[^s][^h][^m]**} w,
  deny ${proc}/sysrq-trigger rwklx,
  deny ${proc}/kcore rwklx,
  deny mount,
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}
`;
}

function readGently(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
