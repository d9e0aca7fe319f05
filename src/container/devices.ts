/** Device nodes of a container, and the rules of its device control group (linux kernel, admin-guide/cgroup-v1/devices). */
import { readdirSync, realpathSync, statSync, type Stats } from "node:fs";
import { join } from "node:path";
import { invalidArgument } from "../base/errors.ts";
import { isErrno } from "../linux/fs-error.ts";
import type { DeviceCgroupRule, RuntimeDevice } from "../oci/runtime-spec.ts";
import type { DeviceMapping } from "../wire/container.ts";

export interface ContainerDevices {
  readonly devices: RuntimeDevice[];
  readonly rules: DeviceCgroupRule[];
}

/** null, zero, full, random, urandom, tty, console, ptmx and the pseudo terminals; the runtime makes the nodes. */
const defaultRules: readonly DeviceCgroupRule[] = [
  { allow: false, access: "rwm" },
  ...(
    [
      [1, 3],
      [1, 5],
      [1, 7],
      [1, 8],
      [1, 9],
      [5, 0],
      [5, 1],
      [5, 2],
    ] as const
  ).map(([major, minor]) => ({ allow: true, type: "c", major, minor, access: "rwm" }) as const),
  { allow: true, type: "c", major: 136, access: "rwm" },
];

/** What a runtime makes by itself in every /dev, and what belongs to the host's own terminals. */
const runtimeNodes: ReadonlySet<string> = new Set(
  ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"].map((name) => `/dev/${name}`),
);
const hostOnlyDirectories: ReadonlySet<string> = new Set(["pts", "shm", "fd", "mqueue", ".lxc", ".udev"]);

/**
 * The devices that are asked for by `--device` and `--device-cgroup-rule`; a privileged container gets the host's.
 * Throws `invalidArgument` for a path that is no device, or a directory without any.
 */
export function containerDevices(request: {
  readonly privileged: boolean;
  readonly mappings: readonly DeviceMapping[];
  readonly cgroupRules: readonly string[];
}): ContainerDevices {
  if (request.privileged) {
    const devices: RuntimeDevice[] = [];
    collect("/dev", "/dev", devices);
    return {
      devices: devices.filter(({ path }) => !runtimeNodes.has(path)),
      rules: [{ allow: true, access: "rwm" }],
    };
  }
  const devices: RuntimeDevice[] = [];
  const rules = [...defaultRules];
  for (const mapping of request.mappings) {
    const found = mappedDevices(mapping);
    devices.push(...found);
    const access = mapping.CgroupPermissions || "rwm";
    for (const { type, major, minor } of found) rules.push({ allow: true, type, major, minor, access });
  }
  for (const text of request.cgroupRules) rules.push(parseDeviceRule(text));
  return { devices, rules };
}

function mappedDevices(mapping: DeviceMapping): RuntimeDevice[] {
  const onHost = mapping.PathOnHost ?? "";
  const inContainer = mapping.PathInContainer || onHost;
  const refuse = (reason: string): never => {
    throw invalidArgument(
      `error gathering device information while adding custom device "${onHost}": ${reason}`,
    );
  };
  const stat = statSync(onHost, { throwIfNoEntry: false });
  if (stat === undefined) return refuse("no such file or directory");
  const device = asDevice(stat, inContainer);
  if (device !== undefined) return [device];
  if (!stat.isDirectory()) return refuse("not a device node");
  const devices: RuntimeDevice[] = [];
  collect(realpathSync(onHost), inContainer, devices);
  return devices.length > 0 ? devices : refuse("no devices found in the directory");
}

/** Devices in a directory and below it; symbolic links are left out. */
function collect(directory: string, target: string, into: RuntimeDevice[]): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      if (!hostOnlyDirectories.has(entry.name)) collect(path, join(target, entry.name), into);
    } else if (entry.isCharacterDevice() || entry.isBlockDevice()) {
      const stat = statGently(path);
      const device = stat && asDevice(stat, join(target, entry.name));
      if (device !== undefined) into.push(device);
    }
  }
}

/** Undefined for a device that was unplugged meanwhile. */
function statGently(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (isErrno(error)) return undefined;
    throw error;
  }
}

function asDevice(stat: Stats, path: string): RuntimeDevice | undefined {
  if (!stat.isCharacterDevice() && !stat.isBlockDevice()) return undefined;
  return {
    path,
    type: stat.isBlockDevice() ? "b" : "c",
    ...deviceNumbers(stat),
    fileMode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
  };
}

/** glibc's gnu_dev_major and gnu_dev_minor; the kernel's own numbers fit into 12 and 20 bits. */
export function deviceNumbers({ rdev }: Stats): { major: number; minor: number } {
  return { major: (rdev >>> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) };
}

/** The numbers of a block device by its path. Throws `invalidArgument`. */
export function blockDevice(path: string): { major: number; minor: number } {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw invalidArgument(`cannot limit ${path}: no such file or directory`);
  if (!stat.isBlockDevice() && !stat.isCharacterDevice())
    throw invalidArgument(`cannot limit ${path}: not a device`);
  return deviceNumbers(stat);
}

/** Reads `c 1:3 rwm`, `b 8:* r`, `a *:* m`. Throws `invalidArgument`. */
export function parseDeviceRule(text: string): DeviceCgroupRule {
  const match = /^([acb]) (\d+|\*):(\d+|\*) ([rwm]{1,3})$/.exec(text);
  if (match === null) throw invalidArgument(`invalid device cgroup rule format: '${text}'`);
  const number = (digits: string): number | undefined => (digits === "*" ? undefined : Number(digits));
  const major = number(match[2]!);
  const minor = number(match[3]!);
  return {
    allow: true,
    type: match[1] as "a" | "b" | "c",
    ...(major === undefined ? {} : { major }),
    ...(minor === undefined ? {} : { minor }),
    access: match[4]!,
  };
}
