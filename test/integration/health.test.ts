/** Health checks: status, log and events; their times; pause; over a restart of the daemon; nothing left of a probe. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

interface Health {
  readonly Status: string;
  readonly FailingStreak: number;
  readonly Log: readonly {
    readonly Start: string;
    readonly End: string;
    readonly ExitCode: number;
    readonly Output: string;
  }[];
}

async function healthOf(daemon: TestDaemon, name: string): Promise<Health | null> {
  const text = await daemon.dockerOk(["inspect", "-f", "{{json .State.Health}}", name]);
  return JSON.parse(text) as Health | null;
}

async function becomes(daemon: TestDaemon, name: string, status: string): Promise<Health> {
  let health: Health | null = null;
  await eventually(
    async () => {
      health = await healthOf(daemon, name);
      return health?.Status === status;
    },
    { timeoutMs: 60_000, intervalMs: 50, what: `${name} to be ${status}` },
  );
  return health!;
}

const quick = ["--health-interval", "200ms", "--health-retries", "2"];

describe("health checks", () => {
  const suite = useDaemon();
  const run = (...args: string[]): Promise<string> =>
    suite.daemon.dockerOk(["run", "-d", "--name", "box", ...args]);

  test("starting, unhealthy, healthy: in inspect, ps, filters and events", async () => {
    const { daemon } = suite;
    const since = (Date.now() / 1000).toFixed(3);
    await run(...quick, "--health-cmd", "echo looked; test -f /ok", busybox, "sleep", "300");
    assert.match(
      await daemon.dockerOk(["ps", "--format", "{{.Status}}"]),
      /\((health: starting|unhealthy)\)$/,
    );
    const bad = await becomes(daemon, "box", "unhealthy");
    assert.ok(bad.FailingStreak >= 2);
    const last = bad.Log.at(-1);
    assert.deepEqual([last?.ExitCode, last?.Output], [1, "looked\n"]);
    assert.ok(Date.parse(last?.Start ?? "") <= Date.parse(last?.End ?? ""));
    assert.match(await daemon.dockerOk(["ps", "--format", "{{.Status}}"]), /\(unhealthy\)$/);
    assert.equal(await daemon.dockerOk(["ps", "-q", "-f", "health=healthy"]), "");
    assert.notEqual(await daemon.dockerOk(["ps", "-q", "-f", "health=unhealthy"]), "");
    await daemon.dockerOk(["exec", "box", "touch", "/ok"]);
    const good = await becomes(daemon, "box", "healthy");
    assert.equal(good.FailingStreak, 0);
    assert.match(await daemon.dockerOk(["ps", "--format", "{{.Status}}"]), /\(healthy\)$/);
    const until = (Date.now() / 1000).toFixed(3);
    const period = ["--since", since, "--until", until];
    const told = async (filter: string): Promise<string[]> =>
      (await daemon.dockerOk(["events", ...period, "--filter", filter, "--format", "{{.Action}}"])).split(
        "\n",
      );
    assert.deepEqual(await told("event=health_status"), [
      "health_status: unhealthy",
      "health_status: healthy",
    ]);
    assert.ok((await told("event=exec_start")).includes("exec_start: /bin/sh -c echo looked; test -f /ok"));
    assert.ok((await told("event=exec_die")).length >= 3);
  });

  test("the log has the last five, each with at most 4096 bytes", async () => {
    const { daemon } = suite;
    await run(...quick, "--health-cmd", "head -c 10000 /dev/zero | tr '\\0' x", busybox, "sleep", "300");
    let first = "";
    await eventually(
      async () => {
        const log = (await healthOf(daemon, "box"))?.Log ?? [];
        first ||= log[0]?.Start ?? "";
        assert.ok(log.length <= 5);
        return log.length === 5 && log[0]?.Start !== first;
      },
      { timeoutMs: 60_000, intervalMs: 50, what: "a sixth probe" },
    );
    assert.equal((await healthOf(daemon, "box"))?.Log[0]?.Output, `${"x".repeat(4096)}...`);
  });

  test("a probe over its time is killed with what it started", async () => {
    const { daemon } = suite;
    const flags = ["--health-interval", "300ms", "--health-timeout", "3s", "--health-retries", "1"];
    await run(...flags, "--health-cmd", "echo begun; sleep 1234 & sleep 1235", busybox, "sleep", "300");
    const { Log } = await becomes(daemon, "box", "unhealthy");
    assert.deepEqual([Log[0]?.ExitCode, Log[0]?.Output], [-1, "Health check exceeded timeout (3s): begun\n"]);
    await daemon.dockerOk(["pause", "box"]);
    let left = "";
    await eventually(
      async () => {
        left = await daemon.dockerOk(["top", "box", "-o", "pid,args"]);
        return !/sleep 123/.test(left);
      },
      { what: "the probe's processes to be gone" },
    );
    assert.match(left, /sleep 300/);
    await daemon.dockerOk(["unpause", "box"]);
  });

  test("what cannot be started counts as a failure, and does not die", async () => {
    const { daemon } = suite;
    const since = (Date.now() / 1000).toFixed(3);
    const { id } = await daemon.client.createContainer({
      name: "box",
      Image: busybox,
      Cmd: ["sleep", "300"],
      Healthcheck: { Test: ["CMD", "no-such-program"], Interval: 200_000_000, Retries: 1 },
    });
    await daemon.dockerOk(["start", id]);
    const { Log } = await becomes(daemon, "box", "unhealthy");
    assert.equal(Log[0]?.ExitCode, -1);
    assert.match(Log[0]?.Output ?? "", /executable file not found/);
    const until = (Date.now() / 1000).toFixed(3);
    const told = ["events", "--since", since, "--until", until, "-f", "event=exec_die"];
    assert.equal(await daemon.dockerOk(told), "");
  });

  test("no failure counts in the start period, in which the start interval holds", async () => {
    const { daemon } = suite;
    const { id } = await daemon.client.createContainer({
      name: "box",
      Image: busybox,
      Cmd: ["sleep", "300"],
      Healthcheck: {
        Test: ["CMD-SHELL", "exit 1"],
        Interval: 3_600_000_000_000,
        StartPeriod: 3_600_000_000_000,
        Retries: 1,
        StartInterval: 100_000_000,
      },
    });
    await daemon.dockerOk(["start", id]);
    await eventually(async () => ((await healthOf(daemon, "box"))?.Log.length ?? 0) >= 3);
    const health = await healthOf(daemon, "box");
    assert.deepEqual([health?.Status, health?.FailingStreak], ["starting", 0]);
  });

  test("of the image, changed in part, and switched off", async () => {
    const { daemon } = suite;
    await run(busybox, "true");
    const change = 'HEALTHCHECK --interval=200ms --retries=7 CMD ["true"]';
    await daemon.dockerOk(["commit", "--change", change, "box", "health-image:1"]);
    await daemon.dockerOk(["rm", "-f", "box"]);
    await run("--health-interval", "150ms", "health-image:1", "sleep", "300");
    const config = JSON.parse(
      await daemon.dockerOk(["inspect", "-f", "{{json .Config.Healthcheck}}", "box"]),
    ) as Record<string, unknown>;
    assert.deepEqual(
      [config["Test"], config["Interval"], config["Retries"]],
      [["CMD", "true"], 150_000_000, 7],
    );
    await becomes(daemon, "box", "healthy");
    await daemon.dockerOk(["rm", "-f", "box"]);
    await run("--no-healthcheck", "health-image:1", "sleep", "300");
    assert.equal(await healthOf(daemon, "box"), null);
    assert.equal((await daemon.dockerOk(["ps", "--format", "{{.Status}}"])).includes("health"), false);
    await daemon.removeContainers();
    await daemon.dockerOk(["rmi", "health-image:1"]);
  });

  test("runs as the container's user, in its directory, with its environment", async () => {
    const { daemon } = suite;
    const command = 'echo "$(id -u) $(pwd) $WORD"';
    await run(
      ...quick,
      "-u",
      "65534",
      "-w",
      "/tmp",
      "-e",
      "WORD=yes",
      "--health-cmd",
      command,
      busybox,
      "sleep",
      "300",
    );
    const { Log } = await becomes(daemon, "box", "healthy");
    assert.equal(Log[0]?.Output, "65534 /tmp yes\n");
  });

  test("rests while paused; begins anew with a start", async () => {
    const { daemon } = suite;
    await run(...quick, "--health-cmd", "true", busybox, "sleep", "300");
    await becomes(daemon, "box", "healthy");
    await daemon.dockerOk(["pause", "box"]);
    const before = await healthOf(daemon, "box");
    assert.equal(before?.Status, "unhealthy");
    await daemon.host.run(["sleep", "0.7"]);
    assert.deepEqual(await healthOf(daemon, "box"), before);
    await daemon.dockerOk(["unpause", "box"]);
    await becomes(daemon, "box", "healthy");
    await daemon.dockerOk(["stop", "-t", "0", "box"]);
    assert.equal((await healthOf(daemon, "box"))?.Status, "unhealthy");
    await daemon.dockerOk(["start", "box"]);
    await becomes(daemon, "box", "healthy");
  });

  test("50 probes leave no descriptor, process or file", async () => {
    const { daemon } = suite;
    await run("--health-interval", "20ms", "--health-cmd", "true", busybox, "sleep", "300");
    const since = (Date.now() / 1000).toFixed(3);
    await eventually(
      async () => {
        const until = (Date.now() / 1000).toFixed(3);
        const told = ["events", "--since", since, "--until", until, "-f", "event=exec_die", "--format", "x"];
        return (await daemon.dockerOk(told)).length >= 100;
      },
      { timeoutMs: 30_000, intervalMs: 500, what: "50 probes" },
    );
    // What is left now is found by the leak check.
  });
});

describe("health checks over the daemon's end", () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start();
    await ensureBusybox(daemon);
  });
  after(() => daemon[Symbol.asyncDispose]());

  test("after a kill the next daemon goes on, and ends the probe that was under way", async () => {
    const probe = "if test -f /hang; then sleep 4321; else true; fi";
    const flags = ["--name", "box", "--health-interval", "200ms", "--health-cmd", probe];
    const id = await daemon.dockerOk(["run", "-d", ...flags, busybox, "sleep", "300"]);
    await becomes(daemon, "box", "healthy");
    await daemon.dockerOk(["exec", "box", "touch", "/hang"]);
    const hanging = async (): Promise<boolean> =>
      (await daemon.host.run(["ps", "-eo", "args"])).stdout.includes("sleep 4321");
    await eventually(hanging);
    await daemon.killHard();
    const pid = await readFile(join(daemon.execRoot, "containers", id, "pidfile"), "utf8");
    await rm(`/proc/${pid.trim()}/root/hang`);
    const bundle = join(daemon.execRoot, "containers", id);
    const left = (await readdir(bundle)).filter((name) => name.startsWith("exec-"));
    assert.notEqual(left.length, 0);
    await daemon.launch();
    await eventually(async () => !(await hanging()), { what: "the left probe to be ended" });
    const [first] = (await healthOf(daemon, "box"))?.Log ?? [];
    await eventually(async () => (await healthOf(daemon, "box"))?.Log[0]?.Start !== first?.Start, {
      what: "new probes",
    });
    assert.equal((await becomes(daemon, "box", "healthy")).FailingStreak, 0);
    for (const name of left) assert.ok(!existsSync(join(bundle, name)), name);
  });
});
