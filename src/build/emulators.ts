/** Programs of other architectures: which of them the kernel hands to an emulator (Documentation/admin-guide/binfmt-misc.rst). */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError } from "../base/errors.ts";
import type { Platform } from "../oci/image-spec.ts";
import { formatPlatform, hostPlatform, platformMatches } from "../oci/platform.ts";

const registrations = "/proc/sys/fs/binfmt_misc";

interface Machine {
  /** How QEMU calls it. */
  readonly emulator: string;
  /** e_machine of its ELF files, as their bytes are. */
  readonly bytes: string;
  readonly bits: 32 | 64;
}

const machines: Readonly<Record<string, Machine>> = {
  "386": { emulator: "i386", bytes: "0300", bits: 32 },
  amd64: { emulator: "x86_64", bytes: "3e00", bits: 64 },
  arm: { emulator: "arm", bytes: "2800", bits: 32 },
  arm64: { emulator: "aarch64", bytes: "b700", bits: 64 },
  loong64: { emulator: "loongarch64", bytes: "0201", bits: 64 },
  mips64le: { emulator: "mips64el", bytes: "0800", bits: 64 },
  ppc64le: { emulator: "ppc64le", bytes: "1500", bits: 64 },
  riscv64: { emulator: "riscv64", bytes: "f300", bits: 64 },
  s390x: { emulator: "s390x", bytes: "0016", bits: 64 },
};

/** What is registered for an architecture: an emulator that containers reach, one that they do not, or none. */
export type Emulation = "ready" | "outside" | "none";

/** Looks at the kernel's registrations; `directory` is where they are. */
export function emulationOf(architecture: string, directory = registrations): Emulation {
  const machine = machines[architecture];
  if (machine === undefined) return "none";
  let found: Emulation = "none";
  for (const name of names(directory)) {
    const text = readEntry(join(directory, name));
    if (!text.startsWith("enabled") || !isFor(machine, text)) continue;
    // With this flag the kernel has opened the emulator; else it is looked for in the container.
    if (/^flags: .*F/m.test(text)) return "ready";
    found = "outside";
  }
  return found;
}

/** ELF's class is byte 4, its machine bytes 18 and 19. */
function isFor({ bytes, bits }: Machine, text: string): boolean {
  const magic = /^magic ([0-9a-f]+)$/m.exec(text)?.[1] ?? "";
  const offset = /^offset (\d+)$/m.exec(text)?.[1] ?? "0";
  return (
    offset === "0" &&
    magic.startsWith(`7f454c46${bits === 64 ? "02" : "01"}`) &&
    magic.slice(36, 40) === bytes
  );
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => name !== "register" && name !== "status");
  } catch {
    // Not mounted: nothing is registered that we could see.
    return [];
  }
}

function readEntry(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Whether this machine runs programs of a platform without an emulator. */
function isNative(platform: Platform): boolean {
  const host = hostPlatform();
  if (platformMatches(platform, host) || platformMatches(host, platform)) return true;
  return platform.os === host.os && platform.architecture === "386" && host.architecture === "amd64";
}

const hint =
  "Install qemu-user-static and binfmt-support, or build this stage with FROM --platform=$BUILDPLATFORM.";

/** Why programs of a platform do not run here; undefined when they do. */
function obstacle(platform: Platform, directory?: string): string | undefined {
  if (isNative(platform)) return undefined;
  const emulation = emulationOf(platform.architecture, directory);
  if (emulation === "ready") return undefined;
  const emulator = `qemu-${machines[platform.architecture]?.emulator ?? platform.architecture}`;
  return emulation === "outside"
    ? `the emulator that is registered is not reached from containers (${emulator} lacks the flag F)`
    : `no emulator is registered (binfmt_misc has no ${emulator})`;
}

/** Whether this machine runs programs of a platform, by itself or with an emulator. */
export const isRunnable = (platform: Platform): boolean => obstacle(platform) === undefined;

/** Throws `unavailable` when this machine cannot run programs of a platform. */
export function requireRunnable(platform: Platform, what: string, directory?: string): void {
  const why = obstacle(platform, directory);
  if (why === undefined) return;
  throw new EngineError(
    "unavailable",
    `${what} needs programs for ${formatPlatform(platform)} to run on ${formatPlatform(hostPlatform())}, and ${why}`,
    { hint },
  );
}

/**
 * Why a command could not be started on a base image of another platform than was asked for, when that is why: the
 * kernel's own word for it explains nothing.
 */
export function foreignProgram(
  base: Platform | undefined,
  lastLines: readonly string[],
  directory?: string,
): { readonly why: string; readonly hint: string } | undefined {
  if (base === undefined || !/exec format error/i.test(lastLines.at(-1) ?? "")) return undefined;
  const why = obstacle(base, directory);
  return why === undefined
    ? undefined
    : { why: `the base image is for ${formatPlatform(base)}, and ${why}`, hint };
}
