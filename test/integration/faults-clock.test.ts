/**
 * The machine's clock jumps an hour forth and back under a daemon at work, and is years off when a daemon is started: health
 * checks, policies and logs go by the time that passes. Needs libfaketime (Debian's package of that name), or its path in GANTRY_TEST_FAKETIME.
 */
import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { TestDaemon } from "../helpers/daemon.ts";
import { assertAtRest } from "../helpers/faults.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { eventually, mustRun } from "../helpers/process.ts";
import type { TestHost } from "../helpers/test-host.ts";

const library =
  process.env["GANTRY_TEST_FAKETIME"] ?? globSync("/usr/lib/*/faketime/libfaketimeMT.so.1")[0] ?? "";
const isDocker = process.env["GANTRY_TEST_ENGINE"] === "docker";
const slow = { timeoutMs: 120_000 };
const patient = { timeoutMs: 90_000 };
const hourMs = 3_600_000;

const skip = isDocker || (library === "" && "no libfaketime here");

/** What has a daemon read its clock from `offset`. */
const clockFrom = (offset: string): Record<string, string> => ({
  LD_PRELOAD: library,
  FAKETIME_TIMESTAMP_FILE: offset,
  FAKETIME_NO_CACHE: "1",
  // What nobody can set on a machine either.
  FAKETIME_DONT_FAKE_MONOTONIC: "1",
  NO_FAKE_STAT: "1",
});

/**
 * Directories, and a host where daemons read their clock from a file there. libfaketime leaves files in /dev/shm when a
 * process is killed or becomes another program: the host has one of its own, and nothing is preloaded outside of it.
 */
async function prepare(): Promise<{ prepared: TestDaemon; host: TestHost; offset: string }> {
  const prepared = await TestDaemon.prepare();
  try {
    const offset = join(prepared.root, "offset");
    await writeFile(offset, "+0");
    await mustRun(prepared.host.command(["mount", "-t", "tmpfs", "none", "/dev/shm"]));
    const clock = Object.entries(clockFrom(offset)).map(([name, value]) => `${name}=${value}`);
    const command = (argv: readonly string[]): string[] => prepared.host.command(["env", ...clock, ...argv]);
    return { prepared, host: { ...prepared.host, command }, offset };
  } catch (error) {
    await prepared[Symbol.asyncDispose]();
    throw error;
  }
}

test("clock jumps of an hour", { skip }, async () => {
  const { prepared, host, offset } = await prepare();
  await using _prepared = prepared;
  await using daemon = await TestDaemon.start({ host });
  await ensureBusybox(daemon);
  const start = (name: string, script: string, ...options: string[]): Promise<string> =>
    daemon.dockerOk(["run", "-d", "--name", name, ...options, busybox, "sh", "-c", script], patient);
  await start("checked", "exec sleep 300", "--health-cmd", "true", "--health-interval", "1s");
  await start("again", "sleep 1; exit 3", "--restart", "always");
  await start("talker", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done");
  const restarts = async (): Promise<number> =>
    (await daemon.client.getContainer("again").inspect()).RestartCount;
  const lastCheckMs = async (): Promise<number> =>
    Date.parse(String((await daemon.client.getContainer("checked").inspect()).State.Health?.Log.at(-1)?.End));
  const lines = async (): Promise<string[]> =>
    (await daemon.dockerOk(["logs", "talker"], patient)).split("\n");
  await eventually(async () => (await lastCheckMs()) > 0 && (await restarts()) > 0, slow);
  for (const [text, hours] of [
    ["+1h", 1],
    ["-1h", -1],
    ["+0", 0],
  ] as const) {
    // A new one each time: the delays of one that goes on double.
    await daemon.dockerOk(["rm", "-f", "again"], patient);
    await start("again", "sleep 1; exit 3", "--restart", "always");
    const [restartsBefore, linesBefore] = [await restarts(), (await lines()).length];
    await writeFile(offset, text);
    // By the daemon's clock, which is now so far from ours.
    await eventually(async () => Math.abs((await lastCheckMs()) - Date.now() - hours * hourMs) < hourMs / 2, {
      ...slow,
      what: `a health check with the clock at ${text}`,
    });
    await eventually(async () => (await restarts()) > restartsBefore + 1, { ...slow, what: "restarts" });
    await eventually(async () => (await lines()).length > linesBefore + 5, { ...slow, what: "lines" });
    const health = ["inspect", "-f", "{{.State.Health.Status}}", "checked"];
    assert.equal(await daemon.dockerOk(health, patient), "healthy");
    assert.equal(await daemon.dockerOk(["run", "--rm", busybox, "true"], patient), "");
    await assertAtRest(daemon);
  }
  const seen = await lines();
  assert.deepEqual(
    seen,
    seen.map((_, n) => String(n + 1)),
  );
});

test("a daemon that begins ten years too early, too late, and in 1970", { skip }, async () => {
  const { prepared, host, offset } = await prepare();
  await using _prepared = prepared;
  await using daemon = await TestDaemon.start({ host });
  await ensureBusybox(daemon);
  const run = (name: string, ...words: string[]): Promise<string> =>
    daemon.dockerOk(["run", "-d", "--name", name, ...words], patient);
  const talk = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done";
  await run("again", "--restart", "always", busybox, "sh", "-c", "sleep 1; exit 3");
  await run("talker", busybox, "sh", "-c", talk);
  await daemon.dockerOk(["run", "--name", "done", busybox, "true"], patient);
  const inspect = (name: string) => daemon.client.getContainer(name).inspect();
  const lines = async (...words: string[]): Promise<string[]> =>
    (await daemon.dockerOk(["logs", ...words, "talker"], patient)).split("\n");
  for (const [text, wayMs] of [
    ["-10y", -10],
    ["+10y", 10],
    ["@1970-01-01 00:05:00", -50],
  ].map(([clock, years]) => [String(clock), Number(years) * 365 * 24 * hourMs] as const)) {
    // What its checks say by the end of its start period must not hang on the clock of the next daemon.
    await daemon.docker(["rm", "-f", "early"], patient);
    const checks = "--health-cmd false --health-interval 1s --health-retries 2 --health-start-period 6s";
    await run("early", ...checks.split(" "), busybox, "sleep", "600");
    await daemon.killHard();
    await writeFile(offset, text);
    await daemon.launch();
    const clockS = async (): Promise<number> =>
      Math.floor(Date.parse(String((await daemon.client.info()).SystemTime)) / 1000);
    const nowS = await clockS();
    assert.ok(Math.sign(nowS * 1000 - Date.now()) === Math.sign(wayMs), `${text}: ${nowS}`);
    const [restartsBefore, linesBefore] = [(await inspect("again")).RestartCount, (await lines()).length];
    await eventually(async () => (await inspect("early")).State.Health?.Status === "unhealthy", {
      ...slow,
      what: `the end of the start period with the clock at ${text}`,
    });
    await eventually(async () => (await lines()).length > linesBefore + 5, { ...slow, what: "lines" });
    await eventually(async () => (await inspect("again")).RestartCount !== restartsBefore, {
      ...slow,
      what: "restarts",
    });
    // Checks and restarts were told meanwhile.
    const events = ["events", "--since", String(nowS), "--until", String(await clockS())];
    assert.match(await daemon.dockerOk([...events, "--filter", "type=container"], patient), /container/);
    if (wayMs < 0) {
      // Nothing is older than a day to this clock.
      const pruned = await daemon.dockerOk(["container", "prune", "-f", "--filter", "until=24h"], patient);
      assert.doesNotMatch(pruned, /Deleted/);
    }
    assert.match(await daemon.dockerOk(["ps", "-a"], patient), /done/);
    assert.equal(await daemon.dockerOk(["run", "--rm", busybox, "echo", "runs"], patient), "runs");
    await daemon.dockerOk(["stop", "-t", "1", "talker"], patient);
    await daemon.dockerOk(["start", "talker"], patient);
    await assertAtRest(daemon);
  }
});
