/**
 * Readers of the option values of `run` and `create`. Each throws `Error` with the words of Docker's option types, which
 * scripts look at; the rules are those of the packages opts and go-units of Docker's command line.
 */
import { isIP } from "node:net";
import { ipcSysctls } from "../../oci/namespaced-sysctls.ts";
import type { ThrottleDevice, Ulimit, WeightDevice } from "../../wire/container.ts";
import { goQuote, parseBytes } from "../flag-values.ts";

const wholeNumber = /^\d{1,18}$/;

/** `NAME=value`; a lone `NAME` takes its value from the environment, and stays alone when it is not set there. */
export function environmentEntry(text: string, env: Readonly<Record<string, string | undefined>>): string {
  if (text === "" || text.startsWith("=")) throw new Error(`invalid environment variable: ${text}`);
  if (text.includes("=")) return text;
  const value = env[text];
  return value === undefined ? text : `${text}=${value}`;
}

/** `key=value` or `key` of a label. */
export function checkLabel(text: string): void {
  if (text === "" || text.startsWith("=")) throw new Error(`invalid label '${text}': empty name`);
}

/** One of the standard streams, in lower case. */
export function attachStream(text: string): string {
  const name = text.toLowerCase();
  if (!["stdin", "stdout", "stderr"].includes(name)) {
    throw new Error("valid streams are STDIN, STDOUT and STDERR");
  }
  return name;
}

/** `name:ip` or `name=ip` of a line in /etc/hosts, as `name:ip`. */
export function extraHost(text: string): string {
  const separator = text.includes("=") ? "=" : ":";
  const at = text.indexOf(separator);
  if (at <= 0) throw new Error(`bad format for add-host: ${goQuote(text)}`);
  const name = text.slice(0, at);
  const address = text.slice(at + 1).replace(/^\[(.*)\]$/, "$1");
  if (address !== "host-gateway" && isIP(address) === 0) {
    throw new Error(`invalid IP address in add-host: ${goQuote(address)}`);
  }
  return `${name}:${address}`;
}

/** An address of a DNS server. */
export function dnsAddress(text: string): string {
  const address = text.trim();
  if (isIP(address) === 0) throw new Error(`IP address is not correctly formatted: ${text}`);
  return address;
}

const domainName =
  /^((?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*)\.?\s*$/;

/** A search domain; `.` alone stands for "none". */
export function searchDomain(text: string): string {
  const name = text.trim();
  if (name === ".") return name;
  const match = domainName.exec(name);
  if (match === null || !/[A-Za-z]/.test(name) || match[1]!.length >= 255) {
    throw new Error(`${text} is not a valid domain`);
  }
  return match[1]!;
}

/** `container` or `container:alias`. */
export function checkLink(text: string): void {
  if (text === "") throw new Error("empty string specified for links");
  if (text.split(":").length > 2) throw new Error(`bad format for links: ${text}`);
}

/** A rule of the device cgroup such as `c 10:200 rwm`. */
export function checkDeviceCgroupRule(text: string): void {
  if (!/^[acb] (\d+|\*):(\d+|\*) [rwm]{1,3}$/.test(text)) {
    throw new Error(`invalid device cgroup format '${text}'`);
  }
}

/** `name=value` of a sysctl that a namespace has of its own. */
export function checkSysctl(text: string): void {
  const name = text.split("=", 1)[0]!;
  const isKnown = ipcSysctls.has(name) || name.startsWith("net.") || name.startsWith("fs.mqueue.");
  if (!isKnown || !text.includes("=")) throw new Error(`sysctl '${text}' is not allowed`);
}

const limitNames = new Set([
  "as",
  "core",
  "cpu",
  "data",
  "fsize",
  "locks",
  "memlock",
  "msgqueue",
  "nice",
  "nofile",
  "nproc",
  "rss",
  "rtprio",
  "rttime",
  "sigpending",
  "stack",
]);

/** `name=soft[:hard]` of a resource limit; -1 is "unlimited". */
export function ulimit(text: string): Ulimit {
  const equals = text.indexOf("=");
  if (equals < 0) throw new Error(`invalid ulimit argument: ${text}`);
  const name = text.slice(0, equals);
  if (!limitNames.has(name)) throw new Error(`invalid ulimit type: ${name}`);
  const parts = text.slice(equals + 1).split(":");
  if (parts.length > 2) {
    throw new Error(
      `too many limit value arguments - ${text.slice(equals + 1)}, can only have up to two, \`soft[:hard]\``,
    );
  }
  const [soft = 0, hard = soft] = parts.map((part) => {
    if (!/^[+-]?\d{1,18}$/.test(part))
      throw new Error(`strconv.ParseInt: parsing ${goQuote(part)}: invalid syntax`);
    return Number(part);
  });
  if (soft === -1 && hard !== -1) {
    throw new Error(
      `ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: ${hard}`,
    );
  }
  if (hard !== -1 && soft > hard) {
    throw new Error(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`);
  }
  return { Name: name, Soft: soft, Hard: hard };
}

function devicePath(text: string): [path: string, value: string] {
  const parts = text.split(":");
  if (parts.length !== 2) throw new Error(`bad format: ${text}`);
  const [path = "", value = ""] = parts;
  if (!path.startsWith("/dev/")) throw new Error(`bad format for device path: ${text}`);
  return [path, value];
}

/** `/dev/sda:weight`. */
export function weightDevice(text: string): WeightDevice {
  const [path, value] = devicePath(text);
  const weight = Number(value);
  if (!wholeNumber.test(value) || (weight > 0 && (weight < 10 || weight > 1000))) {
    throw new Error(`invalid weight for device: ${text}`);
  }
  return { Path: path, Weight: weight };
}

/** `/dev/sda:1mb`: bytes in a second. */
export function throttleBytes(text: string): ThrottleDevice {
  const [path, value] = devicePath(text);
  try {
    const rate = parseBytes(value);
    if (rate >= 0) return { Path: path, Rate: rate };
  } catch {
    // Said below, in Docker's words.
  }
  throw new Error(
    `invalid rate for device: ${text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb`,
  );
}

/** `/dev/sda:100`: operations in a second. */
export function throttleOperations(text: string): ThrottleDevice {
  const [path, value] = devicePath(text);
  if (!wholeNumber.test(value)) {
    throw new Error(
      `invalid rate for device: ${text}. The correct format is <device-path>:<number>. Number must be a positive integer`,
    );
  }
  return { Path: path, Rate: Number(value) };
}
