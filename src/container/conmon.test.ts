import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { after, test } from "node:test";
import { isKind } from "../base/errors.ts";
import { dropCgroupParent, installedRuntimes, leftovers, openBench } from "./bundle.fixture.ts";
import { createMonitor } from "./conmon.ts";
import { findMonitors } from "./monitor-record.ts";
import { collect, eventually, linkOf, logText, run, stateOf } from "./monitor.fixture.ts";

after(dropCgroupParent);

/** Rounds of the tests that look for lost output; a run over night can take more. */
const rounds = Number(process.env["GANTRY_TEST_ROUNDS"] ?? 15);

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
    await monitor.resize(made.bundle, 37, 101);
    await sleep(50);
    await stdio.write(Buffer.from("go\r"));
    await stdio.ended;
    assert.equal((await monitor.watch(task, made.bundle)).exitCode, 0);
    assert.match(output.stdout, /37 101/);
    assert.match(output.stdout, /\/dev\/(pts\/0|console)/);
    await monitor.delete(made.id, runtime);
    await assert.rejects(monitor.resize(made.bundle, 1, 1), /does not run/);
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
