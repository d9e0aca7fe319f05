/** Programs that a test runs: their output, exit code and a limit on their time. */
import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

export interface RunResult {
  /** Exit code; -1 when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly stdoutBytes: Buffer;
}

export interface RunOptions {
  /** Written to standard input, which is then closed. Without it standard input is /dev/null. */
  readonly input?: string | Buffer;
  readonly timeoutMs?: number;
  /** Added to (undefined: taken from) the test's own environment. */
  readonly env?: Record<string, string | undefined>;
  readonly cwd?: string;
}

/** Runs a program to its end. Throws when it is still there after `timeoutMs` (60 s by default), having killed it. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const child = start(argv, options);
  if (options.input !== undefined) {
    // A program may end without reading its input; that is for the test to judge, not an error here.
    child.process.stdin?.on("error", () => {});
    child.process.stdin?.end(options.input);
  }
  return child.wait(options.timeoutMs ?? 60_000);
}

/** Like {@link run}, and throws with all of its output when the program failed. */
export async function mustRun(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const result = await run(argv, options);
  if (result.code !== 0)
    throw new Error(`${argv.join(" ")} exited with ${result.code}\n${result.stdout}${result.stderr}`);
  return result;
}

export interface RunningProgram {
  readonly process: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** Resolves when standard output matches; throws at the end of the program or of the time. */
  waitForOutput(pattern: RegExp, timeoutMs?: number): Promise<void>;
  wait(timeoutMs?: number): Promise<RunResult>;
}

/** Starts a program and collects its output. Standard input is a pipe only when `input` is given (also empty). */
export function start(argv: readonly string[], options: RunOptions = {}): RunningProgram {
  const [program = "", ...args] = argv;
  const child = spawn(program, args, {
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    env: { ...process.env, ...options.env },
    cwd: options.cwd,
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => err.push(chunk));
  const closed = new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? -1));
  });
  // The failure is reported by whoever waits; a program nobody waits for any more must not end the test run.
  closed.catch(() => {});
  let ended = false;
  void closed.then(
    () => (ended = true),
    () => (ended = true),
  );
  const text = (chunks: Buffer[]): string => Buffer.concat(chunks).toString();
  const describe = (): string => `${argv.join(" ")}\nstdout: ${text(out)}\nstderr: ${text(err)}`;
  return {
    process: child,
    stdout: () => text(out),
    stderr: () => text(err),
    async waitForOutput(pattern, timeoutMs = 30_000) {
      await eventually(
        () => {
          if (pattern.test(text(out))) return true;
          if (ended) throw new Error(`ended without printing ${pattern}: ${describe()}`);
          return false;
        },
        { timeoutMs, what: () => `output ${pattern} of ${describe()}` },
      );
    },
    async wait(timeoutMs = 60_000) {
      const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
      let timedOut = false;
      timer.unref();
      const begun = performance.now();
      const code = await closed.finally(() => clearTimeout(timer));
      timedOut = code === -1 && performance.now() - begun >= timeoutMs;
      if (timedOut) throw new Error(`still running after ${timeoutMs} ms: ${describe()}`);
      return { code, stdout: text(out), stderr: text(err), stdoutBytes: Buffer.concat(out) };
    },
  };
}

export interface EventuallyOptions {
  readonly timeoutMs?: number;
  readonly intervalMs?: number;
  /** Ends the sentence "gave up waiting for …". */
  readonly what?: string | (() => string);
}

/** Asks again until the answer is true. A check that throws ends the waiting with its error. */
export async function eventually(
  check: () => boolean | Promise<boolean>,
  options: EventuallyOptions = {},
): Promise<void> {
  const { timeoutMs = 30_000, intervalMs = 25, what = "a condition" } = options;
  const deadline = performance.now() + timeoutMs;
  while (!(await check())) {
    if (performance.now() > deadline)
      throw new Error(
        `gave up after ${timeoutMs} ms waiting for ${typeof what === "string" ? what : what()}`,
      );
    await sleep(intervalMs);
  }
}
