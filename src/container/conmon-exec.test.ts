/** More processes in a container that runs. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, test } from "node:test";
import { isKind } from "../base/errors.ts";
import { type Bench, dropCgroupParent, installedRuntimes, leftovers, openBench } from "./bundle.fixture.ts";
import { collect, eventually, execRequest } from "./monitor.fixture.ts";
import type { RuntimeBinary } from "./monitor.ts";

after(dropCgroupParent);

/** Rounds of the tests that look for lost output; a run over night can take more. */
const rounds = Number(process.env["GANTRY_TEST_ROUNDS"] ?? 15);

/** A running container, and what there is in its directory of processes that are added to it. */
async function startSleeper(bench: Bench, runtime: RuntimeBinary) {
  const made = bench.bundle(["sleep", "1000"]);
  const task = await bench.monitor.create(bench.request(runtime, made));
  await bench.monitor.start(made.id, runtime);
  const execFiles = (): string[] => readdirSync(made.bundle).filter((file) => file.startsWith("exec-"));
  return { made, task, execFiles };
}

for (const runtime of installedRuntimes) {
  const { name } = runtime;

  test(`${name}: a prepared exec that is not started runs nothing and leaves nothing`, async () => {
    using bench = openBench();
    const { monitor } = bench;
    const { made, task, execFiles } = await startSleeper(bench, runtime);
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
    const { monitor } = bench;
    const { made, task, execFiles } = await startSleeper(bench, runtime);
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
      execRequest(
        runtime,
        made,
        ["sh", "-c", "read x; until stty size | grep -x '20 30'; do sleep 0.05; done; exit 4"],
        {
          terminal: true,
          openStdin: true,
        },
      ),
    );
    const seen = collect(terminal.stdio!);
    await terminal.resize(20, 30);
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
}
