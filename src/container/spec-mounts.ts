/** The mounts of a container: what every container has, what the user added, and their order. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { release } from "node:os";
import { EngineError, invalidArgument } from "../base/errors.ts";
import { mountRestrictions } from "../linux/mount.ts";
import type { RuntimeMount } from "../oci/runtime-spec.ts";
import type { HostConfig, MountPoint, MountRequest } from "../wire/container.ts";
import { cleanPath } from "./binds.ts";
import type { ContainerRecord } from "./container.ts";
import type { ContainerDefaults } from "./defaults.ts";
import { parseKernelRelease } from "./seccomp.ts";

export interface NetworkFilePaths {
  readonly hosts: string;
  readonly hostname: string;
  readonly resolvConf: string;
  /** Directory on the host that becomes `/dev/shm`; undefined for one of the container's own. */
  readonly shm?: string | undefined;
}

export interface ContainerMounts {
  readonly mounts: RuntimeMount[];
  /** Those of them that the user asked for, in the same order. */
  readonly ofUser: readonly RuntimeMount[];
  /** What the root's mount needs so that a shared or slave mount works; undefined for the runtime's default. */
  readonly rootfsPropagation: string | undefined;
}

const initTarget = "/sbin/docker-init";
/** Static builds first: the container's root has no libraries for another one. */
const initPrograms = [
  "/usr/bin/tini-static",
  "/usr/bin/docker-init",
  "/usr/libexec/docker/docker-init",
  "/usr/libexec/podman/catatonit",
  "/usr/bin/catatonit",
];
let initProgram: string | undefined;

/** The arguments of a container with `--init`. */
export const initArguments: readonly string[] = [initTarget, "--"];

/** An init is for a PID namespace of the container's own: in another's it is not the one who reaps. */
export function usesInit(
  { Init: init, PidMode: pid = "" }: HostConfig,
  defaults: ContainerDefaults,
): boolean {
  return (init ?? defaults.init) && pid === "";
}

interface MountOptions {
  readonly writableCgroups: boolean;
  readonly defaults: ContainerDefaults;
}

/**
 * All mounts, a parent always before what lies in it. A user's mount takes the place of a default one on the same
 * target; one on /dev also of those below it. Throws `invalidArgument` for a shared or slave mount whose source does
 * not lie on one, `unavailable` when `--init` is asked for and no init program is installed.
 */
export function containerMounts(
  container: ContainerRecord,
  files: NetworkFilePaths,
  options: MountOptions,
): ContainerMounts {
  const points = container.mounts.filter(({ Type }) => Type !== "tmpfs");
  const user = [...points.map((mount) => pointMount(mount, container)), ...tmpfsMounts(container)];
  const taken = new Set(user.map((mount) => mount.destination));
  const overDev = taken.has("/dev");
  const defaults = defaultMounts(container, files, options).filter(
    ({ destination }) => !taken.has(destination) && !(overDev && destination.startsWith("/dev/")),
  );
  const mounts = [...defaults, ...user];
  const depths = new Map(mounts.map((mount) => [mount, depth(mount.destination)]));
  mounts.sort((a, b) => depths.get(a)! - depths.get(b)!);
  const asked = new Set(user);
  return {
    mounts,
    ofUser: mounts.filter((mount) => asked.has(mount)),
    rootfsPropagation: rootPropagation(points),
  };
}

const depth = (path: string): number => (path === "/" ? 0 : path.split("/").length - 1);

function defaultMounts(
  { hostConfig }: ContainerRecord,
  files: NetworkFilePaths,
  { writableCgroups, defaults }: MountOptions,
): RuntimeMount[] {
  const safe = ["nosuid", "noexec", "nodev"];
  const privileged = hostConfig.Privileged === true;
  const ipc = hostConfig.IpcMode ?? "";
  const mounts: RuntimeMount[] = [
    { destination: "/proc", type: "proc", source: "proc", options: safe },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...safe, privileged ? "rw" : "ro"] },
    {
      destination: "/sys/fs/cgroup",
      type: "cgroup",
      source: "cgroup",
      options: [privileged || writableCgroups ? "rw" : "ro", ...safe],
    },
  ];
  if (ipc === "host") {
    mounts.push(bind("/dev/shm", "/dev/shm", []));
    if (existsSync("/dev/mqueue")) mounts.push(bind("/dev/mqueue", "/dev/mqueue", []));
  } else {
    mounts.push({ destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: safe });
    if (files.shm !== undefined) mounts.push(bind(files.shm, "/dev/shm", []));
    else if (ipc !== "none")
      mounts.push({
        destination: "/dev/shm",
        type: "tmpfs",
        source: "shm",
        options: [...safe, "mode=1777", `size=${hostConfig.ShmSize || 64 * 1024 * 1024}`],
      });
  }
  const fileOptions = hostConfig.ReadonlyRootfs === true ? ["ro"] : [];
  mounts.push(
    bind(files.resolvConf, "/etc/resolv.conf", fileOptions),
    bind(files.hostname, "/etc/hostname", fileOptions),
    bind(files.hosts, "/etc/hosts", fileOptions),
  );
  if (usesInit(hostConfig, defaults)) {
    const source = defaults.initPath ?? findInit();
    mounts.push({ destination: initTarget, type: "bind", source, options: ["bind", "ro"] });
  }
  return mounts;
}

function bind(source: string, destination: string, options: readonly string[]): RuntimeMount {
  return { destination, type: "bind", source, options: ["rbind", "rprivate", ...options] };
}

function pointMount(mount: MountPoint, { hostConfig }: ContainerRecord): RuntimeMount {
  const request = hostConfig.Mounts?.find(
    (m) => m.Type === "bind" && cleanPath(m.Target ?? "") === mount.Destination,
  );
  return {
    destination: cleanPath(mount.Destination),
    type: "bind",
    source: mount.Source,
    options: [
      // crun takes a recursive propagation for a recursive bind; without mounts below they are the same.
      ...(request?.BindOptions?.NonRecursive === true
        ? ["bind", (mount.Propagation || "private").replace(/^r/, "")]
        : ["rbind", mount.Propagation || "rprivate"]),
      // crun sets the options of a bind mount as they are here; those that its source has stay only when they are named.
      ...mountRestrictions(mount.Source).filter((word) => mount.RW || word !== "ro"),
      // Nothing is mounted below a file, and crun 1.8 takes a recursive mount for one of a directory.
      ...(mount.RW ? [] : [isFile(mount.Source) ? "ro" : readOnlyOption(request?.BindOptions ?? {})]),
    ],
  };
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === false;
}

/**
 * A read-only mount is so with all that is mounted below it, where the kernel can do that (mount_setattr(2), Linux 5.12) and
 * nothing else was asked for. Throws `invalidArgument` when it must be so and cannot.
 */
function readOnlyOption(options: NonNullable<MountRequest["BindOptions"]>): "ro" | "rro" {
  if (options.NonRecursive === true || options.ReadOnlyNonRecursive === true) return "ro";
  const [major, minor] = parseKernelRelease(release());
  if (major > 5 || (major === 5 && minor >= 12)) return "rro";
  if (options.ReadOnlyForceRecursive === true)
    throw invalidArgument(
      "recursive read-only mounts are not supported by this host's kernel (5.12 has them)",
    );
  return "ro";
}

/** `--tmpfs TARGET[:OPTIONS]` and `--mount type=tmpfs`. */
function tmpfsMounts({ hostConfig }: ContainerRecord): RuntimeMount[] {
  const defaults = ["noexec", "nosuid", "nodev"];
  const mounts: RuntimeMount[] = [];
  for (const [target, text] of Object.entries(hostConfig.Tmpfs ?? {})) {
    const asked = text.split(",").filter((word) => word !== "");
    const kept = defaults.filter((word) => !asked.includes(word.slice(2)) && !asked.includes(word));
    mounts.push(tmpfs(target, [...kept, ...asked]));
  }
  for (const request of hostConfig.Mounts ?? [])
    if (request.Type === "tmpfs")
      mounts.push(tmpfs(request.Target ?? "", [...defaults, ...tmpfsOptions(request)]));
  return mounts;
}

const tmpfs = (target: string, options: string[]): RuntimeMount => ({
  destination: cleanPath(target),
  type: "tmpfs",
  source: "tmpfs",
  options,
});

function tmpfsOptions({ ReadOnly, TmpfsOptions }: MountRequest): string[] {
  return [
    ...(ReadOnly === true ? ["ro"] : []),
    ...(TmpfsOptions?.Mode ? [`mode=${TmpfsOptions.Mode.toString(8)}`] : []),
    ...(TmpfsOptions?.SizeBytes ? [`size=${TmpfsOptions.SizeBytes}`] : []),
    ...(TmpfsOptions?.Options ?? []).map((pair) => pair.join("=")),
  ];
}

/** The init program that `--init` uses; undefined when none is installed. */
export function installedInit(): string | undefined {
  return (initProgram ??= initPrograms.find((path) => existsSync(path)));
}

function findInit(): string {
  const program = installedInit();
  if (program === undefined)
    throw new EngineError(
      "unavailable",
      "--init needs the program tini-static, which is not installed on the host",
      {
        hint: "Install the package tini.",
      },
    );
  return program;
}

/** Which propagation the root needs, by the mounts that want to see (slave) or to pass on (shared) later mounts. */
function rootPropagation(mounts: readonly MountPoint[]): string | undefined {
  let result: string | undefined;
  for (const { Propagation: propagation, Source: source } of mounts) {
    const kind = propagation.replace(/^r/, "");
    if (kind !== "shared" && kind !== "slave") continue;
    const on = mountOf(source, readFileSync("/proc/self/mountinfo", "utf8"));
    if (kind === "shared" && !on.shared)
      throw invalidArgument(`path ${source} is mounted on ${on.path} but it is not a shared mount`);
    if (kind === "slave" && !on.shared && !on.slave)
      throw invalidArgument(`path ${source} is mounted on ${on.path} but it is not a shared or slave mount`);
    if (kind === "shared") result = "shared";
    else result ??= "rslave";
  }
  return result;
}

/** The mount that a path lies on, and its propagation, out of the text of /proc/PID/mountinfo (proc(5)). */
export function mountOf(
  path: string,
  mountinfo: string,
): { readonly path: string; readonly shared: boolean; readonly slave: boolean } {
  let best = { path: "", shared: false, slave: false };
  for (const line of mountinfo.split("\n")) {
    const [head = ""] = line.split(" - ");
    const fields = head.split(" ");
    const at = (fields[4] ?? "").replace(/\\([0-7]{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    const holds = at !== "" && (path === at || path.startsWith(at === "/" ? "/" : `${at}/`));
    if (!holds || at.length < best.path.length) continue;
    const optional = fields.slice(6);
    best = {
      path: at,
      shared: optional.some((field) => field.startsWith("shared:")),
      slave: optional.some((field) => field.startsWith("master:")),
    };
  }
  return best;
}
