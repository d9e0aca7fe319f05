/** Kernel settings under /proc/sys, of the network namespace that the calling thread is in. */
import { readFileSync, writeFileSync } from "node:fs";
import { isKind } from "../base/errors.ts";
import { systemError } from "./libc.ts";

/** Parts of a name, `["net", "ipv4", "conf", "eth0.5", "forwarding"]`: an interface's name may have dots. */
export type SysctlName = string | readonly string[];

/** File of a setting; the dots of a plain name separate its parts. */
export function sysctlPath(name: SysctlName): string {
  const parts = typeof name === "string" ? name.split(".") : name;
  return `/proc/sys/${parts.join("/")}`;
}

function translate(what: string, error: unknown): Error {
  const { errno } = error as NodeJS.ErrnoException;
  return errno === undefined ? (error as Error) : systemError(what, -errno);
}

/** The setting's text without its newline; undefined when this kernel has no such setting. */
export function readSysctl(name: SysctlName): string | undefined {
  const path = sysctlPath(name);
  try {
    return readFileSync(path, "utf8").trimEnd();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw translate(`read ${path}`, error);
  }
}

function write(name: SysctlName, value: string): void {
  const path = sysctlPath(name);
  try {
    writeFileSync(path, value, { flag: "r+" });
  } catch (error) {
    throw translate(`set ${path} to ${value}`, error);
  }
}

/**
 * Sets `value` without a look at what is set, for a namespace that was just made; nothing where this kernel has no such
 * setting. The kernel keeps the names below /proc/sys/net for each namespace, all in one chain of its table: with hundreds
 * of them each look-up takes its time.
 */
export function setSysctlIfThere(name: SysctlName, value: string): void {
  try {
    write(name, value);
  } catch (error) {
    if (!isKind(error, "notFound")) throw error;
  }
}

/**
 * Sets `value` unless it is set already (some hosts mount /proc/sys read-only and have the right values). Returns true
 * when it wrote. Throws `notFound` when this kernel has no such setting.
 */
export function writeSysctl(name: SysctlName, value: string): boolean {
  if (readSysctl(name) === value) return false;
  write(name, value);
  return true;
}
