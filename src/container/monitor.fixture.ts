/** What tests of monitors do with containers and their output. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { readFileSync, readlinkSync } from "node:fs";
import { leftovers, processSpec, type Bench } from "./bundle.fixture.ts";
import type { AttachedStdio, ExecRequest, RuntimeBinary, TaskExit } from "./monitor.ts";

export async function eventually(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!holds()) {
    assert.ok(performance.now() < deadline, `did not happen: ${what}`);
    await sleep(20);
  }
}

export function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** The letter of a process's state (proc(5)); undefined when there is none. */
export function stateOf(pid: number): string | undefined {
  try {
    return /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, "latin1"))?.[1];
  } catch {
    return undefined;
  }
}

export interface Collected {
  stdout: string;
  stderr: string;
}

export function collect(stdio: AttachedStdio): Collected {
  const collected = { stdout: "", stderr: "" };
  stdio.onData((stream, chunk) => {
    collected[stream] += chunk.toString("latin1");
    return true;
  });
  return collected;
}

/** The log's text without its prefixes: `TIME STREAM P|F TEXT`, a partial line without its newline. */
export function logText(path: string): string {
  return readFileSync(path, "latin1")
    .split("\n")
    .slice(0, -1)
    .map((line) => {
      const [, tag, text] = /^\S+ std(?:out|err) ([PF]) (.*)$/.exec(line) ?? [];
      return tag === "P" ? text : `${text}\n`;
    })
    .join("");
}

export interface RunOptions {
  readonly terminal?: boolean;
  readonly input?: string | Buffer;
  readonly memoryBytes?: number;
}

export async function run(
  bench: Bench,
  runtime: RuntimeBinary,
  args: readonly string[],
  options: RunOptions = {},
) {
  const made = bench.bundle(args, { terminal: options.terminal ?? false, ...options });
  const { monitor } = bench;
  const task = await monitor.create(
    bench.request(runtime, made, {
      terminal: options.terminal ?? false,
      openStdin: options.input !== undefined,
      leaveStdinOpen: false,
    }),
  );
  const stdio = monitor.attach(made.bundle);
  const output = collect(stdio);
  const exit = monitor.watch(task, made.bundle);
  await monitor.start(made.id, runtime);
  if (options.input !== undefined) {
    await stdio.write(Buffer.from(options.input));
    stdio.endInput();
  }
  await stdio.ended;
  const result: TaskExit = await exit;
  const log = logText(made.logPath);
  await monitor.delete(made.id, runtime);
  assert.deepEqual(leftovers(made.id), []);
  return { ...result, ...output, log };
}

export function execRequest(
  runtime: RuntimeBinary,
  made: ReturnType<Bench["bundle"]>,
  args: readonly string[],
  change: Partial<ExecRequest> = {},
): ExecRequest {
  return {
    containerId: made.id,
    execId: `e${Math.random().toString(36).slice(2)}`,
    runtime,
    process: processSpec(args, change.terminal),
    terminal: false,
    openStdin: false,
    detached: false,
    bundle: made.bundle,
    logPath: "",
    ...change,
  };
}
