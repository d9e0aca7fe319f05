/**
 * Seccomp profiles in Docker's format, compiled to what an OCI runtime takes: rules that depend on capabilities,
 * architecture or kernel are decided here. The default profile is moby's (see NOTICE).
 */
import { release } from "node:os";
import { invalidArgument } from "../base/errors.ts";
import type { RuntimeSeccomp, SeccompArgument } from "../oci/runtime-spec.ts";
import defaultProfile from "./seccomp-default.json" with { type: "json" };

interface Condition {
  readonly caps?: readonly string[] | null;
  readonly arches?: readonly string[] | null;
  /** `MAJOR.MINOR`. */
  readonly minKernel?: string;
}

interface ProfileRule {
  readonly names?: readonly string[] | null;
  readonly name?: string;
  readonly action: string;
  readonly errnoRet?: number | null;
  readonly args?: readonly SeccompArgument[] | null;
  readonly includes?: Condition | null;
  readonly excludes?: Condition | null;
}

export interface SeccompProfile {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number | null;
  readonly architectures?: readonly string[] | null;
  readonly archMap?:
    | readonly { readonly architecture: string; readonly subArchitectures?: readonly string[] | null }[]
    | null;
  readonly flags?: readonly string[] | null;
  readonly listenerPath?: string;
  readonly listenerMetadata?: string;
  readonly syscalls?: readonly ProfileRule[] | null;
}

export interface SeccompTarget {
  /** The container's bounding set. */
  readonly capabilities: readonly string[];
  /** As Go names it: `amd64`. */
  readonly architecture: string;
  readonly kernel: readonly [major: number, minor: number];
}

/** Node's names of architectures -> Go's, and libseccomp's for that machine. */
const architectures: Readonly<Record<string, readonly [go: string, seccomp: string]>> = {
  x64: ["amd64", "SCMP_ARCH_X86_64"],
  arm64: ["arm64", "SCMP_ARCH_AARCH64"],
  arm: ["arm", "SCMP_ARCH_ARM"],
  ia32: ["386", "SCMP_ARCH_X86"],
  riscv64: ["riscv64", "SCMP_ARCH_RISCV64"],
  s390x: ["s390x", "SCMP_ARCH_S390X"],
  ppc64: ["ppc64le", "SCMP_ARCH_PPC64LE"],
  loong64: ["loong64", "SCMP_ARCH_LOONGARCH64"],
};

/** This host's kernel version out of uname's release, `6.1.0-13-amd64` -> `[6, 1]`. */
export function parseKernelRelease(text: string): [major: number, minor: number] {
  const match = /^(\d+)\.(\d+)/.exec(text);
  return [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
}

const compiled = new Map<string, RuntimeSeccomp>();

/** The default profile for a container with these capabilities on this host; each set is compiled once. */
export function defaultSeccomp(capabilities: readonly string[]): RuntimeSeccomp {
  const key = capabilities.join(" ");
  let result = compiled.get(key);
  if (result === undefined) {
    result = compileSeccomp(defaultProfile, hostTarget(capabilities));
    compiled.set(key, result);
  }
  return result;
}

/** A profile that came with a request, as JSON text. Throws `invalidArgument` when it is none. */
export function customSeccomp(json: string, capabilities: readonly string[]): RuntimeSeccomp {
  let profile: SeccompProfile;
  try {
    profile = JSON.parse(json) as SeccompProfile;
  } catch (error) {
    throw invalidArgument(`Decoding seccomp profile failed: ${(error as Error).message}`);
  }
  if (typeof profile !== "object" || profile === null || typeof profile.defaultAction !== "string")
    throw invalidArgument("Decoding seccomp profile failed: it has no defaultAction");
  if ((profile.architectures ?? []).length > 0 && (profile.archMap ?? []).length > 0)
    throw invalidArgument(
      "'architectures' and 'archMap' were specified in the seccomp profile, use either 'architectures' or 'archMap'",
    );
  return compileSeccomp(profile, hostTarget(capabilities));
}

function hostTarget(capabilities: readonly string[]): SeccompTarget {
  const architecture = architectures[process.arch]?.[0] ?? process.arch;
  return { capabilities, architecture, kernel: parseKernelRelease(release()) };
}

/** Keeps the rules whose conditions hold for `target`. Pure. */
export function compileSeccomp(profile: SeccompProfile, target: SeccompTarget): RuntimeSeccomp {
  const result: RuntimeSeccomp = { defaultAction: profile.defaultAction, syscalls: [] };
  if (typeof profile.defaultErrnoRet === "number") result.defaultErrnoRet = profile.defaultErrnoRet;
  const machines = seccompArchitectures(profile, target.architecture);
  if (machines.length > 0) result.architectures = machines;
  if (profile.flags && profile.flags.length > 0) result.flags = [...profile.flags];
  if (profile.listenerPath) result.listenerPath = profile.listenerPath;
  if (profile.listenerMetadata) result.listenerMetadata = profile.listenerMetadata;
  for (const rule of profile.syscalls ?? []) {
    if (!isIncluded(rule.includes ?? {}, target) || isExcluded(rule.excludes ?? {}, target)) continue;
    const names = rule.name ? [rule.name] : [...(rule.names ?? [])];
    if (names.length === 0) continue;
    result.syscalls.push({
      names,
      action: rule.action,
      ...(typeof rule.errnoRet === "number" ? { errnoRet: rule.errnoRet } : {}),
      ...(rule.args && rule.args.length > 0 ? { args: [...rule.args] } : {}),
    });
  }
  return result;
}

function seccompArchitectures(profile: SeccompProfile, goName: string): string[] {
  if (profile.architectures && profile.architectures.length > 0) return [...profile.architectures];
  const own = Object.values(architectures).find(([go]) => go === goName)?.[1];
  const entry = profile.archMap?.find(({ architecture }) => architecture === own);
  return entry === undefined ? [] : [entry.architecture, ...(entry.subArchitectures ?? [])];
}

function isIncluded(condition: Condition, target: SeccompTarget): boolean {
  const { caps, arches, minKernel } = condition;
  if (arches && arches.length > 0 && !arches.includes(target.architecture)) return false;
  if (caps && !caps.every((name) => target.capabilities.includes(name))) return false;
  return minKernel === undefined || isAtLeast(target.kernel, minKernel);
}

function isExcluded(condition: Condition, target: SeccompTarget): boolean {
  const { caps, arches, minKernel } = condition;
  if (arches?.includes(target.architecture)) return true;
  if (caps?.some((name) => target.capabilities.includes(name))) return true;
  return minKernel !== undefined && isAtLeast(target.kernel, minKernel);
}

function isAtLeast([major, minor]: readonly [number, number], version: string): boolean {
  const [wantedMajor, wantedMinor] = parseKernelRelease(version);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
