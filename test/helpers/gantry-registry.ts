/** Our own registry as a process, as users start it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gantryProgram } from "./daemon.ts";

export interface GantryRegistryOptions {
  /** Flags beside `--root` and `--address`. */
  readonly args?: readonly string[];
  /** Directory that outlives it; its own without. */
  readonly root?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface GantryRegistry extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly address: string;
  readonly origin: string;
  readonly root: string;
  readonly process: ChildProcess;
  /** Ends it as a power cut would. */
  kill(): Promise<void>;
  /** What it wrote to its log. */
  log(): string;
}

/** Starts `gantry registry serve` on a free port and waits until it serves. Throws what it says when it does not. */
export async function startGantryRegistry(options: GantryRegistryOptions = {}): Promise<GantryRegistry> {
  const root = options.root ?? (await mkdtemp(join(tmpdir(), "gantry-test-serve-")));
  const child = spawn(
    gantryProgram,
    ["registry", "serve", "--root", root, "--address", "127.0.0.1:0", ...(options.args ?? [])],
    { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...options.env } },
  );
  const onParentExit = (): boolean => child.kill("SIGKILL");
  process.once("exit", onParentExit);
  let output = "";
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()));
  const exited = once(child, "exit");
  const address = await new Promise<string>((resolve, reject) => {
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      const found = /^Serving (https?:\/\/\S+) /m.exec(output)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once("exit", (code) => reject(new Error(`the registry ended with ${code}: ${log}`)));
  });
  const end = async (signal: "SIGTERM" | "SIGKILL"): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await exited;
    process.removeListener("exit", onParentExit);
  };
  return {
    origin: address,
    address: address.replace(/^https?:\/\//, ""),
    root,
    process: child,
    kill: () => end("SIGKILL"),
    log: () => log,
    async [Symbol.asyncDispose]() {
      await end("SIGTERM");
      if (options.root === undefined) await rm(root, { recursive: true, force: true });
    },
  };
}
