/**
 * A daemon for a test file: gantry, or Docker's own when `GANTRY_TEST_ENGINE=docker` (that is how the suite is proved:
 * what Docker does passes). Everything about it is its own: namespaces, directories, socket, bridge, cgroup.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { closeSync, existsSync, openSync } from "node:fs";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { eventually, run, start, type RunningProgram, type RunOptions, type RunResult } from "./process.ts";
import { openTestHost, type TestHost } from "./test-host.ts";
import { startOnPty, type PtyOptions, type PtyProgram } from "./pty.ts";

export type Flavour = "gantry" | "docker";

/** Which engine the suite runs against. */
export const flavour: Flavour = process.env["GANTRY_TEST_ENGINE"] === "docker" ? "docker" : "gantry";

export const repositoryRoot = join(import.meta.dirname, "../..");

// What is tested is what the sources say now, also when a test file is run by itself after an edit.
process.env["GANTRY_DEV"] ??= "1";

/** The program under test. */
export const gantryProgram = process.env["GANTRY_BIN"] ?? join(repositoryRoot, "gantry");

export interface DaemonOptions {
  readonly flavour?: Flavour;
  /** Added at the end of the daemon's flags. */
  readonly flags?: readonly string[];
  readonly env?: Record<string, string>;
  /** Where it lives; without it a host of its own, which ends with the daemon. */
  readonly host?: TestHost;
  /** Name of the bridge; without it the engine's default, which on a host of its own meets nobody. */
  readonly bridge?: string;
  /** Address of the bridge in CIDR notation. */
  readonly bip?: string;
  /** Directory for all roots; without it a new one. */
  readonly root?: string;
  /** Another program in the daemon's place. */
  readonly program?: (daemon: TestDaemon) => readonly string[];
}

let daemonCount = 0;

export class TestDaemon implements AsyncDisposable {
  readonly flavour: Flavour;
  readonly host: TestHost;
  readonly root: string;
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly socket: string;
  readonly pidfile: string;
  readonly logFile: string;
  readonly bip: string;
  readonly cgroupParent: string;
  readonly client: Docker;
  readonly #options: DaemonOptions;
  readonly #ownsHost: boolean;
  #child: ChildProcess | undefined;

  private constructor(root: string, host: TestHost, options: DaemonOptions) {
    const number = ++daemonCount;
    this.#options = options;
    this.#ownsHost = options.host === undefined;
    this.flavour = options.flavour ?? flavour;
    this.host = host;
    this.root = root;
    this.dataRoot = join(root, "data");
    this.execRoot = join(root, "exec");
    this.socket = join(root, "engine.sock");
    this.pidfile = join(root, "daemon.pid");
    this.logFile = join(root, "daemon.log");
    this.bip = options.bip ?? `10.${210 + (process.pid % 20)}.${number % 250}.1/24`;
    this.cgroupParent = `gantry-test-${process.pid}-${number}`;
    this.client = new Docker({ socketPath: this.socket });
  }

  /** Starts a daemon and waits until it answers. */
  static async start(options: DaemonOptions = {}): Promise<TestDaemon> {
    const daemon = await TestDaemon.prepare(options);
    try {
      await daemon.launch();
    } catch (error) {
      await daemon[Symbol.asyncDispose]();
      throw error;
    }
    return daemon;
  }

  /** Directories and host only; {@link launch} starts it. */
  static async prepare(options: DaemonOptions = {}): Promise<TestDaemon> {
    const root = options.root ?? (await mkdtemp(join(tmpdir(), "gantry-test-")));
    await mkdir(root, { recursive: true });
    return new TestDaemon(root, options.host ?? (await openTestHost()), options);
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error("the daemon does not run");
    return pid;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The bridge that was asked for; undefined for the engine's default. */
  get bridge(): string | undefined {
    return this.#options.bridge;
  }

  /** Address of the bridge, which is the containers' gateway. */
  get gateway(): string {
    return this.bip.split("/")[0] ?? "";
  }

  /** The command line of the daemon, before it is moved to its host. */
  commandLine(extraFlags: readonly string[] = []): string[] {
    const replaced = this.#options.program?.(this);
    if (replaced !== undefined) return [...replaced];
    const program = this.flavour === "docker" ? ["dockerd"] : [gantryProgram, "daemon"];
    const bridge = this.#options.bridge === undefined ? [] : ["--bridge", this.#options.bridge];
    return [
      ...program,
      "-H",
      `unix://${this.socket}`,
      "--data-root",
      this.dataRoot,
      "--exec-root",
      this.execRoot,
      "--pidfile",
      this.pidfile,
      ...bridge,
      "--bip",
      this.bip,
      "--cgroup-parent",
      this.cgroupParent,
      ...(this.#options.flags ?? []),
      ...extraFlags,
    ];
  }

  /** Starts the process; resolves when the socket answers, throws with the log when the daemon ended instead. */
  async launch(env: Record<string, string> = {}): Promise<void> {
    const log = openSync(this.logFile, "a");
    const [program = "", ...args] = this.host.command(this.commandLine());
    const child = spawn(program, args, {
      stdio: ["ignore", log, log],
      env: { ...process.env, ...this.#options.env, ...env },
    });
    closeSync(log);
    this.#child = child;
    const endWithTest = (): void => void child.kill("SIGKILL");
    process.once("exit", endWithTest);
    child.once("exit", () => process.off("exit", endWithTest));
    await eventually(
      async () => {
        if (!this.running) throw new Error(`the daemon ended at start:\n${await this.log()}`);
        return existsSync(this.socket) && (await this.ping());
      },
      { timeoutMs: 60_000, intervalMs: 20, what: `the daemon at ${this.socket}` },
    );
  }

  async ping(): Promise<boolean> {
    try {
      await this.client.ping();
      return true;
    } catch {
      return false;
    }
  }

  log(): Promise<string> {
    return readFile(this.logFile, "utf8").catch(() => "");
  }

  /** Sends a signal to the daemon's process. */
  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name);
  }

  /** Resolves with the exit code (undefined: ended by a signal) once the process is gone. */
  async gone(timeoutMs = 60_000): Promise<number | undefined> {
    const child = this.#child;
    if (child === undefined) return undefined;
    if (this.running) {
      await Promise.race([
        once(child, "exit"),
        new Promise((_, reject) => {
          setTimeout(() => reject(new Error(`the daemon did not end in ${timeoutMs} ms`)), timeoutMs).unref();
        }),
      ]);
    }
    return child.exitCode ?? undefined;
  }

  /** kill -9: no clean-up of any kind runs. */
  async killHard(): Promise<void> {
    this.signal("SIGKILL");
    await this.gone();
  }

  /** SIGTERM, and waits for the end. Returns the exit code. */
  async stop(): Promise<number | undefined> {
    if (!this.running) return this.#child?.exitCode ?? undefined;
    this.signal("SIGTERM");
    return this.gone();
  }

  /** Arguments of a `docker` call against this daemon. */
  dockerCommand(args: readonly string[]): string[] {
    return ["docker", "-H", `unix://${this.socket}`, ...args];
  }

  gantryCommand(args: readonly string[]): string[] {
    return [gantryProgram, "-H", `unix://${this.socket}`, ...args];
  }

  /** Runs the official docker CLI to its end. */
  docker(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run(this.dockerCommand(args), withCliEnvironment(options));
  }

  /** Like {@link docker}; throws when it failed, and returns standard output without the last newline. */
  async dockerOk(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const result = await this.docker(args, options);
    if (result.code !== 0)
      throw new Error(
        `docker ${args.join(" ")} exited with ${result.code}: ${result.stderr}${result.stdout}`,
      );
    return result.stdout.trimEnd();
  }

  startDocker(args: readonly string[], options: RunOptions = {}): RunningProgram {
    return start(this.dockerCommand(args), withCliEnvironment(options));
  }

  dockerOnPty(args: readonly string[], options: PtyOptions = {}): PtyProgram {
    return startOnPty(this.dockerCommand(args), { ...options, env: { ...cliEnvironment, ...options.env } });
  }

  /** Runs gantry's own command line against this daemon. */
  gantry(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run(this.gantryCommand(args), withCliEnvironment(options));
  }

  /** Removes every container, so that the next test of the file begins with none. */
  async removeContainers(): Promise<void> {
    const ids = await this.dockerOk(["ps", "-aq", "--no-trunc"]);
    if (ids !== "") await this.dockerOk(["rm", "-f", "-v", ...ids.split("\n")], { timeoutMs: 60_000 });
  }

  /** Stops everything and removes every trace; what should not be there is the leak check's business, not this one's. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.running) {
      await this.removeContainers().catch(() => {});
      await this.stop().catch(() => this.killHard());
    }
    await this.#endStragglers();
    if (this.#ownsHost) await this.host[Symbol.asyncDispose]();
    if (this.#options.root === undefined)
      await rm(this.root, { recursive: true, force: true, maxRetries: 5 }).catch(() => {});
  }

  /** Containers of a daemon that a test broke on purpose: they are found by their cgroup and by their paths. */
  async #endStragglers(): Promise<void> {
    const script = `
      for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
        [ -d "$root/$1" ] && find "$root/$1" -name cgroup.procs -exec cat {} + 2>/dev/null
      done | sort -u | while read -r pid; do kill -9 "$pid" 2>/dev/null; done
      sleep 0.1
      grep -o " $2/[^ ]*" /proc/self/mountinfo | sort -r | while read -r target; do umount -l "$target" 2>/dev/null; done
      for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
        [ -d "$root/$1" ] && find "$root/$1" -depth -type d -exec rmdir {} \\; 2>/dev/null
      done
      true`;
    await this.host.run(["sh", "-c", script, "stragglers", this.cgroupParent, this.root]).catch(() => {});
  }

  /** Writes a file below the daemon's directory and returns its path. */
  async file(name: string, content: string | Buffer): Promise<string> {
    const path = join(this.root, name);
    await writeFile(path, content);
    return path;
  }
}

/** The CLI's own configuration must not depend on who runs the tests. */
const cliEnvironment: Record<string, string> = {
  DOCKER_CONFIG: join(tmpdir(), "gantry-test-no-docker-config"),
  DOCKER_CLI_HINTS: "false",
};

function withCliEnvironment(options: RunOptions): RunOptions {
  return {
    ...options,
    env: {
      ...cliEnvironment,
      DOCKER_HOST: undefined,
      DOCKER_CONTEXT: undefined,
      GANTRY_HOST: undefined,
      ...options.env,
    },
  };
}
