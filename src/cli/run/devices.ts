import { posix } from "node:path";
import type { DeviceMapping } from "../../wire/container.ts";
import type { DeviceRequest } from "./gpus.ts";

/** Values of `--device`: files of the host, and names of the Container Device Interface such as `vendor.com/gpu=all`. */
export interface DeviceFlags {
  readonly mappings: DeviceMapping[];
  readonly requests: DeviceRequest[];
}

const cdiName = /^[A-Za-z][A-Za-z0-9_.-]*[A-Za-z0-9]\/[A-Za-z][A-Za-z0-9_-]*=[A-Za-z0-9][A-Za-z0-9_.:-]*$/;

/** Reads the values of `--device`. Throws `Error` in Docker's words. */
export function deviceFlags(values: readonly string[]): DeviceFlags {
  const names = values.filter((value) => cdiName.test(value));
  const requests: DeviceRequest[] = [];
  if (names.length > 0) {
    requests.push({ Driver: "cdi", Count: 0, DeviceIDs: names, Capabilities: null, Options: null });
  }
  return { mappings: values.filter((value) => !cdiName.test(value)).map(deviceMapping), requests };
}

function deviceMapping(text: string): DeviceMapping {
  const parts = text.split(":");
  const [host = "", second, third] = parts;
  if (parts.length > 3 || host === "") throw new Error(`bad format for path: ${text}`);
  const secondIsMode = third === undefined && second !== undefined && isMode(second);
  const inside = second === undefined || secondIsMode ? host : second;
  const mode = secondIsMode ? second : (third ?? "rwm");
  if (!isMode(mode)) throw new Error(`bad mode specified: ${mode}`);
  if (!posix.isAbsolute(inside)) throw new Error(`${inside} is not an absolute path`);
  // Docker's client cleans the path inside alone, which is both where only one is given.
  const isOne = second === undefined || secondIsMode;
  const cleaned = third === undefined ? cleanPath(inside) : inside;
  return { PathOnHost: isOne ? cleaned : host, PathInContainer: cleaned, CgroupPermissions: mode };
}

function cleanPath(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 ? normal.replace(/\/$/, "") : normal;
}

/** Each of `r`, `w` and `m` at most once. */
function isMode(text: string): boolean {
  return /^[rwm]{1,3}$/.test(text) && new Set(text).size === text.length;
}
