/** Which capabilities (capabilities(7)) a container's processes have. Names are written with `CAP_`. */
import { readFileSync } from "node:fs";
import { invalidArgument } from "../base/errors.ts";
import type { RuntimeCapabilities } from "../oci/runtime-spec.ts";

/** By number, as linux/capability.h counts them. */
const byNumber: readonly string[] = (
  "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE " +
  "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN " +
  "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE " +
  "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
  .split(" ")
  .map((name) => `CAP_${name}`);

const known: ReadonlySet<string> = new Set(byNumber);

/** Docker's default set. */
export const defaultCapabilities: readonly string[] = (
  "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL " +
  "AUDIT_WRITE"
)
  .split(" ")
  .map((name) => `CAP_${name}`);

let ofHost: readonly string[] | undefined;

/** What this process may hand on: its bounding set, read once. */
export function hostCapabilities(): readonly string[] {
  ofHost ??= parseBoundingSet(readFileSync("/proc/self/status", "utf8"));
  return ofHost;
}

/** The names in the CapBnd line of /proc/PID/status. */
export function parseBoundingSet(status: string): string[] {
  const mask = BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  return byNumber.filter((_, number) => ((mask >> BigInt(number)) & 1n) === 1n);
}

/** `net_admin`, `CAP_NET_ADMIN` -> `CAP_NET_ADMIN`; `all` -> `ALL`. Throws `invalidArgument` for an unknown name. */
export function normalizeCapability(text: string): string {
  const upper = text.trim().toUpperCase();
  if (upper === "ALL" || upper === "CAP_ALL") return "ALL";
  const name = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  if (!known.has(name)) throw invalidArgument(`unknown capability: "${name}"`);
  return name;
}

/** Throws `invalidArgument`, in Docker's words, for one that the daemon does not have itself. */
export function requireAvailable(name: string, host: readonly string[] = hostCapabilities()): void {
  if (name !== "ALL" && !host.includes(name))
    throw invalidArgument(
      `capability not supported by your kernel or not available in the current environment: "${name}"`,
    );
}

export interface CapabilityRequest {
  readonly privileged: boolean;
  readonly add: readonly string[];
  readonly drop: readonly string[];
}

/**
 * The bounding set that a request asks for, within what the host has. A name in `add` wins over `ALL` in `drop`; a name
 * in `drop` wins over `ALL` in `add`. `missing` are names that were asked for by themselves and that the host lacks.
 * Throws `invalidArgument` for an unknown name.
 */
export function chooseCapabilities(
  request: CapabilityRequest,
  host: readonly string[] = hostCapabilities(),
): { readonly names: readonly string[]; readonly missing: readonly string[] } {
  if (request.privileged) return { names: host, missing: [] };
  if (request.add.length === 0 && request.drop.length === 0)
    return { names: defaultCapabilities.filter((name) => host.includes(name)), missing: [] };
  const add = request.add.map(normalizeCapability);
  const drop = request.drop.map(normalizeCapability);
  const chosen = (): readonly string[] => {
    if (add.includes("ALL")) return byNumber.filter((name) => !drop.includes(name));
    if (drop.includes("ALL")) return add;
    const kept = defaultCapabilities.filter((name) => !drop.includes(name));
    return [...new Set([...kept, ...add])];
  };
  return {
    names: chosen().filter((name) => host.includes(name)),
    missing: add.filter((name) => name !== "ALL" && !host.includes(name)),
  };
}

/** The sets of a process: a user other than root keeps only the bounding set, so that set-uid programs still work. */
export function capabilitySets(names: readonly string[], uid: number): RuntimeCapabilities {
  const own = uid === 0 ? names : [];
  return { bounding: names, effective: own, permitted: own, inheritable: [], ambient: [] };
}
