/** Options of the local driver: `type`, `device` and `o` say what is mounted on the volume, `size` is a quota. */
import { lookup } from "node:dns/promises";
import { isIPv4 } from "node:net";
import { errorText, invalidArgument } from "../base/errors.ts";
import { parseBytes } from "../base/sizes.ts";

export type LocalOptions = Readonly<Record<string, string>>;

const known = new Set(["type", "o", "device", "size"]);
const needs: readonly (readonly [option: string, needed: readonly string[]])[] = [
  ["device", ["type"]],
  ["type", ["device"]],
  ["o", ["device", "type"]],
];

/** Throws `invalidArgument` with Docker's words; `hasQuota` tells whether the volumes' file system can limit a directory. */
export function checkLocalOptions(options: LocalOptions, hasQuota: () => boolean): void {
  for (const name of Object.keys(options))
    if (!known.has(name)) throw invalidArgument(`invalid option: ${JSON.stringify(name)}`);
  if (options["type"] === "cifs" && options["device"]) {
    const url = URL.parse(`http:${options["device"]}`);
    if (url !== null && url.port !== "")
      throw invalidArgument("port not allowed in CIFS device URL, include 'port' in 'o='");
  }
  if (quotaBytes(options) > 0 && !hasQuota())
    throw invalidArgument("quota size requested but no quota support", {
      hint: "The file system of the volumes must be ext4 or xfs, mounted with project quotas (prjquota). A volume of type tmpfs takes its size in 'o=size=…'.",
    });
  for (const [option, needed] of needs)
    for (const other of needed)
      if (Object.hasOwn(options, option) && !Object.hasOwn(options, other))
        throw invalidArgument(`missing required option: ${JSON.stringify(other)}`);
}

/** 0 without a quota. Throws `invalidArgument` for what is no size. */
export function quotaBytes(options: LocalOptions | null): number {
  const size = options?.["size"];
  if (size === undefined) return 0;
  try {
    return parseBytes(size);
  } catch (error) {
    throw invalidArgument(errorText(error), { cause: error });
  }
}

/** True when something is mounted on the volume's directory. */
export function needsMount(options: LocalOptions | null): boolean {
  return Boolean(options?.["device"]) || Boolean(options?.["type"]);
}

/** What mount(2) gets for a volume. The kernel takes addresses alone: names in `addr=` (nfs, cifs) are looked up. */
export async function mountArguments(
  options: LocalOptions,
): Promise<{ device: string; type: string; words: string[] }> {
  const { type = "", o = "" } = options;
  let { device = "" } = options;
  const words = o.split(",").filter((word) => word !== "");
  if (type !== "nfs" && type !== "nfs4" && type !== "cifs") return { device, type, words };
  const at = words.findIndex((word) => word.startsWith("addr="));
  if (at >= 0) words[at] = `addr=${await addressOf(words[at]!.slice("addr=".length))}`;
  else if (type === "cifs") {
    const [, host, path] = /^\/\/([^/]+)(.*)$/.exec(device) ?? [];
    if (host !== undefined) device = `//${await addressOf(host)}${path}`;
  }
  return { device, type, words };
}

async function addressOf(host: string): Promise<string> {
  if (isIPv4(host) || host.includes(":")) return host;
  try {
    return (await lookup(host)).address;
  } catch (error) {
    throw invalidArgument(`error resolving passed in network volume address: ${errorText(error)}`, {
      cause: error,
    });
  }
}

/** Mount options as messages and logs may have them: without the password of a share. */
export function withoutPassword(words: readonly string[]): string {
  return words.map((word) => word.replace(/^(pass(?:word)?2?)=.*/, "$1=********")).join(",");
}
