/**
 * A machine of its own for a daemon under test, as far as mounts and network go: a network and a mount namespace that a
 * holder process keeps open. Everything that the daemon leaves in them can be told from what others did, and two test
 * files never meet in one port or bridge name.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mustRun, run, type RunOptions, type RunResult, start, type RunningProgram } from "./process.ts";

export interface TestHost extends AsyncDisposable {
  /** Pid of the process that holds the namespaces open; 0 for the real host. */
  readonly pid: number;
  /** The command, prefixed so that it runs in the host's namespaces. */
  command(argv: readonly string[]): string[];
  run(argv: readonly string[], options?: RunOptions): Promise<RunResult>;
  start(argv: readonly string[], options?: RunOptions): RunningProgram;
}

/** The machine that the tests run on, for what must be shown there. */
export const realHost: TestHost = {
  pid: 0,
  command: (argv) => [...argv],
  run: (argv, options) => run(argv, options),
  start: (argv, options) => start(argv, options),
  async [Symbol.asyncDispose]() {},
};

const uplinkScript = `
ip link add name up0 type veth peer name wan0
ip netns add "$1" 2>/dev/null
ip link set wan0 netns "$1"
ip addr add 198.51.100.2/24 dev up0
ip link set up0 up
ip route add default via 198.51.100.1
ip -n "$1" addr add 198.51.100.1/24 dev wan0
ip -n "$1" link set wan0 up
ip -n "$1" link set lo up
`;

/** Opens a test host. It ends with the test process, however that ends: the holder reads from a pipe of ours. */
export async function openTestHost(): Promise<TestHost> {
  const holder = spawn(
    "unshare",
    ["-nm", "--propagation", "private", "sh", "-c", "ip link set lo up && echo ready && exec cat"],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  await readyLine(holder);
  const pid = holder.pid ?? 0;
  const prefix = ["nsenter", "-t", String(pid), "-n", "-m", "--"];
  const command = (argv: readonly string[]): string[] => [...prefix, ...argv];
  return {
    pid,
    command,
    run: (argv, options) => run(command(argv), options),
    start: (argv, options) => start(command(argv), options),
    async [Symbol.asyncDispose]() {
      if (holder.exitCode !== null || holder.signalCode !== null) return;
      const gone = once(holder, "exit");
      holder.kill("SIGKILL");
      await gone;
    },
  };
}

async function readyLine(holder: ChildProcess): Promise<void> {
  const failed = once(holder, "exit").then(([code]) => {
    throw new Error(`the test host could not be made (unshare exited with ${code}); tests need root`);
  });
  const ready = new Promise<void>((resolve) => {
    holder.stdout?.once("data", () => resolve());
  });
  await Promise.race([ready, failed]);
  failed.catch(() => {});
}

export interface Outside extends AsyncDisposable {
  /** Address of the machine outside, 198.51.100.1; the test host is 198.51.100.2 there. */
  readonly address: string;
  readonly hostAddress: string;
  /** Runs a program on the machine outside. */
  start(argv: readonly string[], options?: RunOptions): RunningProgram;
  run(argv: readonly string[], options?: RunOptions): Promise<RunResult>;
}

/** Connects a second machine to the host by a cable, as the world outside: addresses of RFC 5737's TEST-NET-2. */
export async function connectOutside(host: TestHost): Promise<Outside> {
  const name = `gantry-test-wan-${process.pid}-${Math.random().toString(36).slice(2, 8)}`;
  // The named namespace is pinned inside the host's own mount namespace, so it goes when the host goes.
  await mustRun(host.command(["sh", "-ec", uplinkScript, "uplink", name]));
  const command = (argv: readonly string[]): string[] => host.command(["ip", "netns", "exec", name, ...argv]);
  return {
    address: "198.51.100.1",
    hostAddress: "198.51.100.2",
    start: (argv, options) => start(command(argv), options),
    run: (argv, options) => run(command(argv), options),
    async [Symbol.asyncDispose]() {
      await run(host.command(["ip", "link", "del", "up0"]));
      await run(host.command(["ip", "netns", "del", name]));
    },
  };
}
