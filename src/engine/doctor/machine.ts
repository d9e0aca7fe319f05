/** What the examination looks at, so that its rules can be tried on machines that nobody has. */
import { existsSync, readFileSync, statfsSync } from "node:fs";
import { machine, release } from "node:os";
import { dirname } from "node:path";
import { findProgram } from "../../container/conmon-process.ts";
import { type CgroupLayout, cgroupControllers, detectCgroups } from "../../linux/cgroup.ts";
import { nftList } from "../../linux/nftables.ts";
import { runProcess } from "../../linux/spawn.ts";

export interface Room {
  readonly freeBytes: number;
  readonly totalBytes: number;
  readonly freeInodes: number;
  /** 0 where the file system has no fixed number of them. */
  readonly totalInodes: number;
}

export interface MountEntry {
  readonly target: string;
  readonly type: string;
  readonly options: readonly string[];
}

/** A base chain of the firewall. */
export interface BaseChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook: string;
  readonly policy: string;
}

/** How the daemon is or would be started. */
export interface DaemonPlaces {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly pidfile: string;
  readonly bridge: string;
  readonly iptables: boolean;
  readonly ipForward: boolean;
  readonly userNamespaceRemap: string;
  readonly defaultRuntime: string;
}

export interface Machine {
  readonly kernel: string;
  readonly architecture: string;
  readonly isRoot: boolean;
  readonly cgroups: Pick<CgroupLayout, "version" | "isHybrid"> & { readonly controllers: readonly string[] };
  /** Undefined when the file is not there or cannot be read. */
  readonly readText: (path: string) => string | undefined;
  readonly exists: (path: string) => boolean;
  /** Path of a program. */
  readonly find: (program: string) => string | undefined;
  /** First line of `PROGRAM --version`; undefined when it does not run. */
  readonly version: (path: string) => Promise<string | undefined>;
  /** Of the file system that a path is on, or will be. */
  readonly room: (path: string) => Room;
  readonly mountOf: (path: string) => MountEntry | undefined;
  /** Undefined when the firewall cannot be read; then `failure` says why. */
  readonly baseChains: () => { readonly chains: readonly BaseChain[] } | { readonly failure: string };
}

const environment = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };

/** The machine that this program runs on. */
export function thisMachine(): Machine {
  const layout = detectCgroups();
  const readText = (path: string): string | undefined => {
    try {
      return readFileSync(path, "utf8").trim();
    } catch {
      return undefined;
    }
  };
  return {
    kernel: release(),
    architecture: machine(),
    isRoot: process.getuid?.() === 0,
    cgroups: { version: layout.version, isHybrid: layout.isHybrid, controllers: cgroupControllers(layout) },
    readText,
    exists: (path) => existsSync(path),
    find: (program) => findProgram(program),
    async version(path) {
      try {
        const { code, stdout } = await runProcess({
          path,
          argv: [path, "--version"],
          env: environment,
          timeoutMs: 5_000,
        });
        return code === 0 ? stdout.trim().split("\n")[0] : undefined;
      } catch {
        return undefined;
      }
    },
    room(path) {
      const { bavail, blocks, bsize, ffree, files } = statfsSync(nearest(path));
      return {
        freeBytes: bavail * bsize,
        totalBytes: blocks * bsize,
        freeInodes: ffree,
        totalInodes: files,
      };
    },
    mountOf: (path) => mountOf(readText("/proc/self/mounts") ?? "", nearest(path)),
    baseChains: readBaseChains,
  };
}

/** The path itself, or the closest directory above it that is there. */
function nearest(path: string): string {
  return existsSync(path) || path === "/" ? path : nearest(dirname(path));
}

/** The mount that a path is on, from the text of /proc/self/mounts; of two on one place the later. */
export function mountOf(mounts: string, path: string): MountEntry | undefined {
  let best: MountEntry | undefined;
  for (const line of mounts.split("\n")) {
    const [, target = "", type = "", options = ""] = line.split(" ");
    const isAbove = target === "/" || path === target || path.startsWith(`${target}/`);
    if (target !== "" && isAbove && target.length >= (best?.target.length ?? 0))
      best = { target, type, options: options.split(",") };
  }
  return best;
}

function readBaseChains(): ReturnType<Machine["baseChains"]> {
  try {
    const chains = nftList("read the firewall", "list chains").flatMap(({ chain = {} }) => {
      const { family, table, name, hook, policy = "accept" } = chain as Partial<BaseChain>;
      return family === undefined || table === undefined || name === undefined || hook === undefined
        ? []
        : [{ family, table, name, hook, policy }];
    });
    return { chains };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}
