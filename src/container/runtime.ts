/**
 * Which OCI runtimes this host has, and which of them really works here. crun starts a container in a third of runc's
 * time, but refuses some hosts (version 1.8 those with both versions of cgroups in some layouts); nothing but a real
 * start tells. The outcome is kept until program, boot or cgroup layout change.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError, errorText, invalidArgument } from "../base/errors.ts";
import { detectCgroups, removeCgroup, removeCgroupIfEmpty } from "../linux/cgroup.ts";
import { runProcess } from "../linux/spawn.ts";
import { findProgram } from "./conmon-process.ts";
import type { RuntimeBinary } from "./monitor.ts";
import { lastRuntimeMessage } from "./runtime-error.ts";
import { tinyProgram } from "./tiny-program.ts";

/** In the order of preference. */
const builtin = ["crun", "runc"];
const trialTimeoutMs = 15_000;
const environment = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" };

/** Name, version and commit of a program, for `version` and `info`. */
export interface ProgramVersion {
  readonly name: string;
  readonly version: string;
  /** Empty when the program does not say. */
  readonly commit: string;
}

export interface Runtimes {
  readonly defaultName: string;
  /** All that can be asked for, sorted. */
  readonly names: readonly string[];
  /** The empty name is the default. Throws `invalidArgument` for an unknown name, `unavailable` when none is installed. */
  get(name: string): RuntimeBinary;
  /** Why a runtime that should be used is not. */
  readonly warnings: readonly string[];
  /** The runtimes that were found and conmon. */
  readonly versions: readonly ProgramVersion[];
}

export interface RuntimeOptions {
  readonly execRoot: string;
  readonly cgroupParent: string;
  /** `--add-runtime NAME=PATH`, `runtimes` of daemon.json. */
  readonly added: Readonly<
    Record<string, { readonly path: string; readonly runtimeArgs?: readonly string[] }>
  >;
  /** `--default-runtime`; undefined lets the trial decide. */
  readonly defaultName: string | undefined;
}

/** What is kept of one program. */
interface Finding {
  readonly key: string;
  readonly version: ProgramVersion;
  /** Why it does not work; empty when it does; undefined when it was not tried. */
  readonly failure?: string;
}

class Findings {
  readonly #path: string;
  readonly #host: string;
  readonly #findings: Record<string, Finding>;
  #changed = false;

  constructor(execRoot: string) {
    this.#path = join(execRoot, "runtimes.json");
    this.#host = hostKey();
    this.#findings = readJson(this.#path);
  }

  /** The valid finding for a program; made by `look` when there is none. */
  async get(
    path: string,
    look: (key: string, known: Finding | undefined) => Promise<Finding>,
  ): Promise<Finding> {
    const stat = statSync(path);
    const key = `${stat.ino}:${stat.size}:${stat.mtimeMs}:${this.#host}`;
    const known = this.#findings[path];
    const valid = known?.key === key ? known : undefined;
    const finding = await look(key, valid);
    if (finding !== known) {
      this.#findings[path] = finding;
      this.#changed = true;
    }
    return finding;
  }

  save(): void {
    if (!this.#changed) return;
    try {
      writeFileSync(this.#path, JSON.stringify(this.#findings, undefined, 1), { mode: 0o600 });
    } catch {
      // Only costs the next start some milliseconds.
    }
  }
}

function readJson(path: string): Record<string, Finding> {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Record<string, Finding>;
  } catch {
    return {};
  }
}

/** What a trial depends on besides the program. */
function hostKey(): string {
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const cgroups = detectCgroups();
  return `${bootId}:${cgroups.version}:${cgroups.isHybrid}:${[...cgroups.v1.keys()].sort().join(",")}`;
}

/** Reads the output of `PROGRAM --version`: a line `NAME version X` and perhaps a line `commit: Y`. */
export function parseProgramVersion(name: string, output: string): ProgramVersion {
  const version = /version[: ]+v?(\S+)/.exec(output)?.[1] ?? output.trim().split(/\s+/)[0] ?? "";
  const commit = /^commit: *(\S+)/m.exec(output)?.[1] ?? "";
  return { name, version, commit: commit === "unknown" ? "" : commit };
}

async function programVersion(name: string, path: string): Promise<ProgramVersion> {
  const result = await runProcess({ path, argv: [name, "--version"], env: environment, timeoutMs: 5000 });
  return parseProgramVersion(name, result.stdout);
}

/** The smallest bundle that needs namespaces, a cgroup and a root file system. */
function writeTrialBundle(bundle: string, cgroup: string, program: Buffer): void {
  for (const directory of ["proc", "dev"]) mkdirSync(join(bundle, "rootfs", directory), { recursive: true });
  writeFileSync(join(bundle, "rootfs/trial"), program, { mode: 0o755 });
  const spec = {
    ociVersion: "1.0.2",
    process: { user: { uid: 0, gid: 0 }, args: ["/trial"], env: [], cwd: "/", noNewPrivileges: true },
    root: { path: "rootfs" },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      // crun makes the standard devices wherever it finds a /dev, and fails where it finds none.
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["mode=755"] },
    ],
    linux: {
      cgroupsPath: cgroup,
      namespaces: ["pid", "ipc", "uts", "mount", "network"].map((type) => ({ type })),
    },
  };
  writeFileSync(join(bundle, "config.json"), JSON.stringify(spec));
}

/** Starts a container that ends at once. Returns why that failed, or an empty text. Leaves nothing behind. */
async function tryRuntime(
  runtime: RuntimeBinary,
  options: { readonly execRoot: string; readonly cgroupParent: string },
): Promise<string> {
  const program = tinyProgram();
  // No trial on an architecture we have no program for: believe it.
  if (program === undefined) return "";
  const directory = mkdtempSync(join(options.execRoot, "trial-"));
  const id = directory.slice(directory.lastIndexOf("/") + 1);
  const parent = `/${options.cgroupParent.replace(/^\/+/, "")}`;
  const cgroup = `${parent}/${id}`;
  const words = (...verb: string[]): string[] => [
    runtime.name,
    ...runtime.args,
    "--root",
    join(directory, "state"),
    ...verb,
  ];
  const run = (argv: string[]) =>
    runProcess({ path: runtime.path, argv, env: environment, timeoutMs: trialTimeoutMs });
  try {
    writeTrialBundle(directory, cgroup, program);
    const result = await run(words("run", "--bundle", directory, id));
    if (result.code === 0) return "";
    await run(words("delete", "--force", id));
    return lastRuntimeMessage(`${result.stdout}\n${result.stderr}`) || `it ended with code ${result.code}`;
  } catch (error) {
    return errorText(error);
  } finally {
    const cgroups = detectCgroups();
    await removeCgroup(cgroups, cgroup);
    removeCgroupIfEmpty(cgroups, parent);
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Names under which Docker's clients ask for the usual runtime. */
const defaultAliases = new Set(["", "io.containerd.runc.v2", "io.containerd.runtime.v1.linux"]);

class FoundRuntimes implements Runtimes {
  readonly names: readonly string[];

  readonly defaultName: string;
  readonly warnings: readonly string[];
  readonly versions: readonly ProgramVersion[];
  readonly #binaries: ReadonlyMap<string, RuntimeBinary>;

  constructor(
    binaries: ReadonlyMap<string, RuntimeBinary>,
    found: Pick<Runtimes, "defaultName" | "warnings" | "versions">,
  ) {
    this.#binaries = binaries;
    this.defaultName = found.defaultName;
    this.warnings = found.warnings;
    this.versions = found.versions;
    this.names = [...binaries.keys()].sort();
  }

  get(name: string): RuntimeBinary {
    const binary = this.#binaries.get(defaultAliases.has(name) ? this.defaultName : name);
    if (binary !== undefined && isThere(binary)) return binary;
    if (binary !== undefined)
      throw new EngineError(
        "unavailable",
        `runtime ${name} cannot be used: there is no program ${binary.path}`,
        { hint: "Install it again, or take it out of the daemon's configuration." },
      );
    if (this.#binaries.size === 0)
      throw new EngineError("unavailable", "no OCI runtime is installed: containers cannot be started", {
        hint: "apt-get install crun",
      });
    throw invalidArgument(`unknown or invalid runtime name: ${name}`);
  }
}

function collectBinaries(options: RuntimeOptions): Map<string, RuntimeBinary> {
  const binaries = new Map<string, RuntimeBinary>();
  for (const name of builtin) {
    const path = findProgram(name);
    if (path !== undefined) binaries.set(name, { name, path, args: [] });
  }
  for (const [name, { path, runtimeArgs }] of Object.entries(options.added)) {
    const absolute = path.startsWith("/") ? path : findProgram(path);
    binaries.set(name, { name, path: absolute ?? path, args: runtimeArgs ?? [] });
  }
  const chosen = options.defaultName === undefined ? undefined : binaries.get(options.defaultName);
  if (options.defaultName !== undefined && (chosen === undefined || !isThere(chosen)))
    throw invalidArgument(`specified default runtime '${options.defaultName}' does not exist`);
  return binaries;
}

function isThere(binary: RuntimeBinary): boolean {
  return statSync(binary.path, { throwIfNoEntry: false }) !== undefined;
}

/**
 * Finds the runtimes. The default is the first of crun and runc that starts a container here, unless `defaultName` says
 * which. Costs nothing when the outcome is known. Throws `invalidArgument` for an unknown
 * default; another added runtime is judged when a container asks for it, as with Docker.
 */
export async function findRuntimes(options: RuntimeOptions): Promise<Runtimes> {
  mkdirSync(options.execRoot, { recursive: true, mode: 0o711 });
  const binaries = collectBinaries(options);
  const findings = new Findings(options.execRoot);
  const warnings: string[] = [];
  const versions: ProgramVersion[] = [];
  let defaultName = options.defaultName;
  for (const binary of binaries.values()) {
    if (!isThere(binary)) {
      warnings.push(`the runtime ${binary.name} is not there: no program ${binary.path}`);
      continue;
    }
    const mustTry = defaultName === undefined ? builtin.includes(binary.name) : defaultName === binary.name;
    const finding = await findings.get(binary.path, async (key, known) => {
      if (known !== undefined && (known.failure !== undefined || !mustTry)) return known;
      const version = known?.version ?? (await programVersion(binary.name, binary.path));
      return mustTry ? { key, version, failure: await tryRuntime(binary, options) } : { key, version };
    });
    versions.push({ ...finding.version, name: binary.name });
    if (!mustTry) continue;
    if (finding.failure === "") defaultName ??= binary.name;
    else warnings.push(`the runtime ${binary.name} does not work on this host: ${finding.failure}`);
  }
  const conmon = findProgram("conmon");
  if (conmon === undefined) {
    warnings.push("conmon is not installed: containers cannot be started (apt-get install conmon)");
  } else {
    const finding = await findings.get(
      conmon,
      async (key, known) => known ?? { key, version: await programVersion("conmon", conmon) },
    );
    versions.push(finding.version);
  }
  findings.save();
  if (binaries.size === 0) warnings.push("no OCI runtime is installed (apt-get install crun)");
  return new FoundRuntimes(binaries, {
    defaultName: defaultName ?? [...binaries.keys()][0] ?? "runc",
    warnings,
    versions,
  });
}
