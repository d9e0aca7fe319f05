import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, readdirSync, readlinkSync } from "node:fs";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isKind } from "../base/errors.ts";
import {
  dropCgroupParent,
  installedRuntimes,
  leftovers,
  openBench,
  processSpec,
  type Bench,
} from "./bundle.fixture.ts";
import { createMonitor } from "./conmon.ts";
import { findMonitors } from "./monitor-record.ts";
import type { AttachedStdio, ExecRequest, RuntimeBinary, TaskExit } from "./monitor.ts";

after(dropCgroupParent);

/** Rounds of the tests that look for lost output; a run over night can take more. */
const rounds = Number(process.env["GANTRY_TEST_ROUNDS"] ?? 15);

async function eventually(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!holds()) {
    assert.ok(performance.now() < deadline, `did not happen: ${what}`);
    await sleep(20);
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** The letter of a process's state (proc(5)); undefined when there is none. */
function stateOf(pid: number): string | undefined {
  try {
    return /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, "latin1"))?.[1];
  } catch {
    return undefined;
  }
}

interface Collected {
  stdout: string;
  stderr: string;
}

function collect(stdio: AttachedStdio): Collected {
  const collected = { stdout: "", stderr: "" };
  stdio.onData((stream, chunk) => {
    collected[stream] += chunk.toString("latin1");
    return true;
  });
  return collected;
}

/** The log's text without its prefixes: `TIME STREAM P|F TEXT`, a partial line without its newline. */
function logText(path: string): string {
  return readFileSync(path, "latin1")
    .split("\n")
    .slice(0, -1)
    .map((line) => {
      const [, tag, text] = /^\S+ std(?:out|err) ([PF]) (.*)$/.exec(line) ?? [];
      return tag === "P" ? text : `${text}\n`;
    })
    .join("");
}

interface RunOptions {
  readonly terminal?: boolean;
  readonly input?: string | Buffer;
  readonly memoryBytes?: number;
}

async function run(bench: Bench, runtime: RuntimeBinary, args: readonly string[], options: RunOptions = {}) {
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

function execRequest(
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

for (const runtime of installedRuntimes) {
  const { name } = runtime;

  test(`${name}: the last byte reaches client and log, and the exit code comes through`, async () => {
    using bench = openBench();
    // Not counted: the kernel is kept ready for cgroup changes by short writes that come and go.
    const fds = (): number =>
      readdirSync("/proc/self/fd").filter((fd) => !linkOf(`/proc/self/fd/${fd}`).endsWith("cgroup.procs"))
        .length;
    await run(bench, runtime, ["true"]);
    const before = fds();
    for (let round = 0; round < rounds; round += 1) {
      const small = await run(bench, runtime, ["sh", "-c", `echo ${round}; printf end >&2; exit ${round}`]);
      assert.deepEqual(
        [small.exitCode, small.stdout, small.stderr, small.log.length],
        [round, `${round}\n`, "end", `${round}\nend`.length],
      );
      assert.ok(small.finishedAtNs > 1_600_000_000_000_000_000n);
    }
    for (let round = 0; round < Math.ceil(rounds / 3); round += 1) {
      const script = "head -c 300000 /dev/zero | tr '\\0' x; printf LAST";
      const large = await run(bench, runtime, ["busybox", "sh", "-c", script]);
      assert.equal(large.stdout.length, 300_004);
      assert.ok(large.stdout.endsWith("xLAST"));
      assert.equal(large.log, large.stdout);
      const terminal = await run(bench, runtime, ["busybox", "sh", "-c", "seq 1 20000; printf LAST"], {
        terminal: true,
      });
      assert.ok(terminal.stdout.endsWith("20000\r\nLAST"), terminal.stdout.slice(-30));
      assert.equal(terminal.stdout.length, 108_894 + 20_000 + 4);
    }
    assert.equal(fds(), before);
    assert.deepEqual(readdirSync(`${bench.root}/exec/monitors`), []);
    assert.deepEqual(readdirSync(`${bench.root}/exec/exits`), []);
  });

  test(`${name}: a connection counts when the monitor has taken it`, async () => {
    using bench = openBench();
    const made = bench.bundle(["sleep", "1000"]);
    const { monitor } = bench;
    const task = await monitor.create(bench.request(runtime, made));
    process.kill(task.monitorPid, "SIGSTOP");
    const stdio = monitor.attach(made.bundle);
    let isAccepted = false;
    const accepted = stdio.accepted().then(() => (isAccepted = true));
    await sleep(50);
    assert.equal(isAccepted, false);
    process.kill(task.monitorPid, "SIGCONT");
    await accepted;
    await monitor.kill(made.id, runtime, 9);
    await monitor.watch(task, made.bundle);
    stdio.detach();
    await monitor.delete(made.id, runtime);
    assert.deepEqual(leftovers(made.id), []);
  });

  test(`${name}: a monitor that gets no time until the program has ended loses nothing`, async () => {
    using bench = openBench();
    const made = bench.bundle(["sh", "-c", "echo first; echo second >&2"]);
    const { monitor } = bench;
    const task = await monitor.create(bench.request(runtime, made));
    process.kill(task.monitorPid, "SIGSTOP");
    const stdio = monitor.attach(made.bundle);
    const output = collect(stdio);
    const exit = monitor.watch(task, made.bundle);
    await monitor.start(made.id, runtime);
    await eventually(() => stateOf(task.pid) === "Z", "the program to end");
    process.kill(task.monitorPid, "SIGCONT");
    await stdio.ended;
    await exit;
    assert.deepEqual(output, { stdout: "first\n", stderr: "second\n" });
    await monitor.delete(made.id, runtime);
  });

  test(`${name}: input arrives whole, ends with the client`, async () => {
    using bench = openBench();
    const input = Buffer.alloc(400_000, "0123456789abcdef\n");
    const result = await run(bench, runtime, ["cat"], { input });
    assert.equal(result.stdout.length, input.length);
    assert.equal(result.stdout, input.toString("latin1"));
  });

  test(`${name}: a terminal has its size, and takes input`, async () => {
    using bench = openBench();
    const made = bench.bundle(["sh", "-c", "read go; stty size; tty"], { terminal: true });
    const { monitor } = bench;
    const task = await monitor.create(bench.request(runtime, made, { terminal: true, openStdin: true }));
    const stdio = monitor.attach(made.bundle);
    const output = collect(stdio);
    await monitor.start(made.id, runtime);
    monitor.resize(made.bundle, 37, 101);
    await sleep(50);
    await stdio.write(Buffer.from("go\r"));
    await stdio.ended;
    assert.equal((await monitor.watch(task, made.bundle)).exitCode, 0);
    assert.match(output.stdout, /37 101/);
    assert.match(output.stdout, /\/dev\/(pts\/0|console)/);
    await monitor.delete(made.id, runtime);
    assert.throws(() => monitor.resize(made.bundle, 1, 1), /does not run/);
    assert.deepEqual(leftovers(made.id), []);
  });

  test(`${name}: what cannot be run says so in Docker's words and leaves nothing`, async () => {
    using bench = openBench();
    const table: [string[], RegExp][] = [
      [["foo"], /exec: "foo": executable file not found in \$PATH/],
      [["/nofile"], /exec: "\/nofile": stat \/nofile: no such file or directory/],
      [["/noexec"], /exec: "\/noexec": permission denied/],
      [["/tmp/dir"], /exec: "\/tmp\/dir": (permission denied|is a directory)/],
    ];
    for (const [args, pattern] of table) {
      const made = bench.bundle(args);
      await assert.rejects(bench.monitor.create(bench.request(runtime, made)), (error: Error) => {
        assert.match(error.message, pattern);
        assert.match(error.message, /^failed to create task for container: .*OCI runtime create failed: /);
        assert.ok(isKind(error, "invalidArgument"));
        return true;
      });
      assert.deepEqual(leftovers(made.id), []);
      assert.deepEqual(readdirSync(made.bundle).sort(), ["config.json", "log"]);
    }
    assert.deepEqual(readdirSync(`${bench.root}/exec/monitors`), []);
  });

  test(`${name}: a prepared exec that is not started runs nothing and leaves nothing`, async () => {
    using bench = openBench();
    const made = bench.bundle(["sleep", "1000"]);
    const { monitor } = bench;
    const task = await monitor.create(bench.request(runtime, made));
    await monitor.start(made.id, runtime);
    const execFiles = (): string[] => readdirSync(made.bundle).filter((file) => file.startsWith("exec-"));
    monitor.prepareExec(execRequest(runtime, made, ["true"]));
    assert.equal(execFiles().length, 1);
    await eventually(() => execFiles().length === 0, "the monitor gives up by itself");
    // Prepared for a client, started without one.
    const request = execRequest(runtime, made, ["sh", "-c", "exit 5"]);
    monitor.prepareExec(request);
    const detached = await monitor.exec({ ...request, detached: true });
    assert.deepEqual(await detached.exited, { exitCode: 5 });
    monitor.prepareExec(execRequest(runtime, made, ["true"]));
    await monitor.kill(made.id, runtime, 9);
    await monitor.watch(task, made.bundle);
    await monitor.delete(made.id, runtime);
    await eventually(() => execFiles().length === 0, "it goes with the container");
    assert.deepEqual(leftovers(made.id), []);
  });

  test(`${name}: exec, its streams, codes, terminal and errors`, async () => {
    using bench = openBench();
    const made = bench.bundle(["sleep", "1000"]);
    const { monitor } = bench;
    const task = await monitor.create(bench.request(runtime, made));
    await monitor.start(made.id, runtime);
    const execFiles = (): string[] => readdirSync(made.bundle).filter((file) => file.startsWith("exec-"));
    for (let round = 0; round < rounds; round += 1) {
      const request = execRequest(runtime, made, [
        "sh",
        "-c",
        `echo out${round}; echo err >&2; exit ${round}`,
      ]);
      // Every other one finds its monitor started already, some of those a spare of the one before.
      if (round % 2 === 1) monitor.prepareExec(request);
      if (round % 4 === 2) await eventually(() => execFiles().length === 1, "a spare is kept");
      const exec = await monitor.exec(request);
      const output = collect(exec.stdio!);
      await exec.stdio!.ended;
      assert.deepEqual(await exec.exited, { exitCode: round });
      assert.deepEqual(output, { stdout: `out${round}\n`, stderr: "err\n" });
    }
    const cat = await monitor.exec(execRequest(runtime, made, ["cat"], { openStdin: true }));
    const echoed = collect(cat.stdio!);
    assert.equal((await monitor.pids(made.id, runtime)).length, 2);
    await cat.stdio!.write(Buffer.alloc(100_000, "z"));
    cat.stdio!.endInput();
    await cat.exited;
    await cat.stdio!.ended;
    assert.equal(echoed.stdout.length, 100_000);
    const terminal = await monitor.exec(
      execRequest(runtime, made, ["sh", "-c", "read x; stty size; exit 4"], {
        terminal: true,
        openStdin: true,
      }),
    );
    const seen = collect(terminal.stdio!);
    terminal.resize(20, 30);
    await sleep(30);
    await terminal.stdio!.write(Buffer.from("\r"));
    assert.deepEqual(await terminal.exited, { exitCode: 4 });
    await terminal.stdio!.ended;
    assert.match(seen.stdout, /20 30/);
    const detached = await monitor.exec(
      execRequest(runtime, made, ["sh", "-c", "exit 6"], { detached: true }),
    );
    assert.equal(detached.stdio, undefined);
    assert.deepEqual(await detached.exited, { exitCode: 6 });
    // More than a runtime can be handed while it waits.
    const long = execRequest(runtime, made, ["sh", "-c", `exit 7; ${"x".repeat(70_000)}`]);
    monitor.prepareExec(long);
    assert.deepEqual(await (await monitor.exec(long)).exited, { exitCode: 7 });
    await assert.rejects(monitor.exec(execRequest(runtime, made, ["foo"])), (error: Error) => {
      assert.match(
        error.message,
        /^OCI runtime exec failed: exec failed: .*"foo": executable file not found/,
      );
      return isKind(error, "invalidArgument");
    });
    await eventually(() => execFiles().length <= 1, "at most one monitor is kept for the next exec");
    await monitor.kill(made.id, runtime, 9);
    assert.equal((await monitor.watch(task, made.bundle)).exitCode, 137);
    await eventually(() => execFiles().length === 0, "it goes with the container");
    await assert.rejects(monitor.kill(made.id, runtime, 9), (error) => isKind(error, "conflict", "notFound"));
    await monitor.delete(made.id, runtime);
    await monitor.delete(made.id, runtime);
    assert.deepEqual(leftovers(made.id), []);
  });

  test(`${name}: pause, resume, kill, and memory that runs out`, async () => {
    using bench = openBench();
    const { monitor } = bench;
    const made = bench.bundle(["sleep", "1000"]);
    const task = await monitor.create(bench.request(runtime, made));
    await monitor.start(made.id, runtime);
    await monitor.pause(made.id, runtime);
    await monitor.resume(made.id, runtime);
    await monitor.kill(made.id, runtime, 9);
    assert.equal((await monitor.watch(task, made.bundle)).exitCode, 137);
    await monitor.delete(made.id, runtime);
    const hungry = await run(bench, runtime, ["busybox", "sh", "-c", "head -c 60000000 /dev/zero | tail"], {
      memoryBytes: 12 << 20,
    });
    assert.equal(hungry.oomKilled, true);
  });

  test(`${name}: a killed monitor ends the container with 137; a killed start is cleaned`, async () => {
    using bench = openBench();
    const { monitor } = bench;
    const made = bench.bundle(["sleep", "1000"]);
    const task = await monitor.create(bench.request(runtime, made));
    await monitor.start(made.id, runtime);
    const exit = monitor.watch(task, made.bundle);
    process.kill(task.monitorPid, "SIGKILL");
    assert.equal((await exit).exitCode, 137);
    assert.equal(existsSync(`/proc/${task.pid}/exe`), false);
    await monitor.delete(made.id, runtime);
    assert.deepEqual(leftovers(made.id), []);
    const paused = bench.bundle(["sleep", "1000"]);
    await monitor.create(bench.request(runtime, paused));
    await monitor.start(paused.id, runtime);
    await monitor.pause(paused.id, runtime);
    await monitor.delete(paused.id, runtime);
    assert.deepEqual(leftovers(paused.id), []);
    const created = bench.bundle(["sleep", "1000"]);
    await monitor.create(bench.request(runtime, created));
    await monitor.delete(created.id, runtime);
    assert.deepEqual(leftovers(created.id), []);
    assert.deepEqual(readdirSync(`${bench.root}/exec/monitors`), []);
    assert.deepEqual(readdirSync(`${bench.root}/exec/exits`), []);
  });

  test(`${name}: many at once`, async () => {
    using bench = openBench();
    const results = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        run(bench, runtime, ["sh", "-c", `echo ${index}; exit ${index}`]),
      ),
    );
    for (const [index, result] of results.entries())
      assert.deepEqual([result.exitCode, result.stdout], [index, `${index}\n`]);
  });

  test(`${name}: a daemon killed while it makes a container leaves what the next one can clean`, async () => {
    using bench = openBench();
    for (const afterMs of [0, 4, 8, 16]) {
      const made = bench.bundle(["sleep", "1000"]);
      const script = `
        import { createMonitor } from ${JSON.stringify(new URL("conmon.ts", import.meta.url).href)};
        const monitor = createMonitor({ execRoot: ${JSON.stringify(`${bench.root}/exec`)} });
        const created = monitor.create(${JSON.stringify(bench.request(runtime, made))});
        setTimeout(() => process.kill(process.pid, "SIGKILL"), ${afterMs});
        await created;
        setInterval(() => {}, 1000);`;
      const daemon = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "ignore" });
      await new Promise((resolve) => daemon.once("exit", resolve));
      const next = createMonitor({ execRoot: `${bench.root}/exec` });
      await next.delete(made.id, runtime);
      assert.deepEqual(leftovers(made.id), [], `killed after ${afterMs} ms`);
      assert.deepEqual(findMonitors(made.id), []);
      assert.deepEqual(readdirSync(`${bench.root}/exec/monitors`), []);
    }
  });

  test(`${name}: a container outlives its daemon, and the next one learns its end`, async () => {
    using bench = openBench();
    const made = bench.bundle(["sh", "-c", "echo before; sleep 1; echo after; exit 9"]);
    const script = `
      import { createMonitor } from ${JSON.stringify(new URL("conmon.ts", import.meta.url).href)};
      const request = ${JSON.stringify(bench.request(runtime, made))};
      const monitor = createMonitor({ execRoot: ${JSON.stringify(`${bench.root}/exec`)} });
      const task = await monitor.create(request);
      await monitor.start(request.containerId, request.runtime);
      console.log(JSON.stringify(task));
      setInterval(() => {}, 1000);`;
    const daemon = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const line = await new Promise<string>((resolve) =>
      daemon.stdout.once("data", (data) => resolve(String(data))),
    );
    const task = JSON.parse(line) as { containerId: string; pid: number; monitorPid: number };
    const stat = readFileSync(`/proc/${task.monitorPid}/stat`, "utf8").split(" ");
    assert.equal(Number(stat[5]), task.monitorPid, "a session of its own");
    daemon.kill("SIGKILL");
    // What conmon has not read yet would reach the client that attaches now.
    await eventually(() => logText(made.logPath) === "before\n", "conmon has read the first line");
    const stdio = bench.monitor.attach(made.bundle);
    const output = collect(stdio);
    const exit = await bench.monitor.watch(task, made.bundle);
    await stdio.ended;
    assert.equal(exit.exitCode, 9);
    assert.equal(output.stdout, "after\n");
    assert.equal(logText(made.logPath), "before\nafter\n");
    // Noticed at once when it ended before.
    assert.equal((await bench.monitor.watch(task, made.bundle)).exitCode, 9);
    await bench.monitor.delete(made.id, runtime);
    assert.deepEqual(leftovers(made.id), []);
  });
}
