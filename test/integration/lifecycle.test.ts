/** A container's life: create, start, stop, restart, kill, wait, rename, top, remove. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { eventually, run } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

/** Ends with 7 on SIGTERM. */
const polite = ["sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"];
/** Does not care for SIGTERM. */
const stubborn = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"];

describe("life of a container", () => {
  const suite = useDaemon();

  const field = (name: string, path: string): Promise<string> =>
    suite.daemon.dockerOk(["inspect", "-f", `{{${path}}}`, name]);

  async function runPrinting(name: string, command: string[], flags: string[] = []): Promise<void> {
    await suite.daemon.dockerOk(["run", "-d", "--name", name, ...flags, busybox, ...command]);
    await eventually(async () => (await suite.daemon.dockerOk(["logs", name])).includes("up"), {
      what: `${name} to be up`,
    });
  }

  test("create, start, stop, start again", async () => {
    const { daemon } = suite;
    const id = await daemon.dockerOk(["create", "--name", "box", busybox, ...polite]);
    assert.match(id, /^[0-9a-f]{64}$/);
    assert.equal(await field("box", ".State.Status"), "created");
    assert.equal(await field("box", ".State.StartedAt"), "0001-01-01T00:00:00Z");
    assert.equal(await daemon.dockerOk(["start", "box"]), "box");
    await eventually(async () => (await daemon.dockerOk(["logs", "box"])).includes("up"));
    assert.equal(await field("box", ".State.Running"), "true");
    assert.notEqual(await field("box", ".State.Pid"), "0");
    assert.equal(await daemon.dockerOk(["stop", "box"]), "box");
    assert.equal(await field("box", ".State.Status"), "exited");
    assert.equal(await field("box", ".State.ExitCode"), "7");
    assert.equal(await field("box", ".State.Pid"), "0");
    await daemon.dockerOk(["start", "box"]);
    assert.equal(await field("box", ".State.Status"), "running");
  });

  test("start of a running one and stop of a stopped one change nothing", async () => {
    const { daemon } = suite;
    await runPrinting("box", polite);
    const before = await field("box", ".State.StartedAt");
    await daemon.dockerOk(["start", "box"]);
    assert.equal(await field("box", ".State.StartedAt"), before);
    await daemon.dockerOk(["stop", "box"]);
    await daemon.dockerOk(["stop", "box"]);
    const container = daemon.client.getContainer("box");
    await assert.rejects(container.stop(), { statusCode: 304 });
    await container.start();
    await assert.rejects(container.start(), { statusCode: 304 });
  });

  test("stop waits for -t seconds, then kills", async () => {
    const { daemon } = suite;
    // The container's own time is far longer than a test may take: -t decides.
    await runPrinting("box", stubborn, ["--stop-timeout", "3600"]);
    const begun = performance.now();
    await daemon.dockerOk(["stop", "-t", "1", "box"]);
    const tookMs = performance.now() - begun;
    assert.ok(tookMs > 900, `took ${tookMs} ms`);
    assert.equal(await field("box", ".State.ExitCode"), "137");
  });

  test("--stop-signal and --stop-timeout", async () => {
    const { daemon } = suite;
    const script = "trap 'exit 11' USR1; echo up; while :; do sleep 0.05; done";
    await runPrinting("box", ["sh", "-c", script], ["--stop-signal", "USR1"]);
    await daemon.dockerOk(["stop", "box"]);
    assert.equal(await field("box", ".State.ExitCode"), "11");
    await runPrinting("slow", stubborn, ["--stop-timeout", "0"]);
    await daemon.dockerOk(["stop", "slow"]);
    const { State } = await daemon.client.getContainer("slow").inspect();
    assert.equal(State.ExitCode, 137);
    // Without the flag the kill comes ten seconds after the signal.
    const until = new Date().toISOString();
    const kills = `events --since ${State.StartedAt} --until ${until} --filter container=slow --filter event=kill --format`;
    const times = (await daemon.dockerOk([...kills.split(" "), "{{.TimeNano}}"])).split("\n");
    assert.equal(times.length, 2);
    assert.ok(Number(times[1]) - Number(times[0]) < 9e9, times.join(" "));
  });

  test("restart gives a new process and keeps the file system", async () => {
    const { daemon } = suite;
    await runPrinting("box", polite);
    await daemon.dockerOk(["exec", "box", "touch", "/kept"]);
    const pid = await field("box", ".State.Pid");
    await daemon.dockerOk(["restart", "box"]);
    assert.notEqual(await field("box", ".State.Pid"), pid);
    await daemon.dockerOk(["exec", "box", "ls", "/kept"]);
    await daemon.dockerOk(["stop", "box"]);
    await daemon.dockerOk(["restart", "box"]);
    assert.equal(await field("box", ".State.Running"), "true");
  });

  test("kill sends any signal; a stopped one is 409", async () => {
    const { daemon } = suite;
    const script = "trap 'echo got-usr2' USR2; trap 'exit 3' HUP; echo up; while :; do sleep 0.05; done";
    await runPrinting("box", ["sh", "-c", script]);
    await daemon.dockerOk(["kill", "-s", "USR2", "box"]);
    await eventually(async () => (await daemon.dockerOk(["logs", "box"])).includes("got-usr2"));
    await daemon.dockerOk(["kill", "-s", "1", "box"]);
    assert.equal(await daemon.dockerOk(["wait", "box"]), "3");
    await assert.rejects(daemon.client.getContainer("box").kill(), { statusCode: 409 });
    const refused = await daemon.docker(["kill", "box"]);
    assert.match(refused.stderr, /is not running/);
  });

  test("a kill is answered when the end is on record", async () => {
    const { daemon } = suite;
    await runPrinting("box", polite);
    const id = await field("box", ".Id");
    const { stdout } = await run(["pgrep", "-f", `conmon --cid ${id}`]);
    const monitor = Number(stdout.trim());
    // Whoever tells the end is held up: a kill that does not wait would be answered at once.
    process.kill(monitor, "SIGSTOP");
    const killing = daemon.startDocker(["kill", "box"]);
    try {
      const begun = performance.now();
      await eventually(async () => (await run(["pgrep", "-P", String(monitor), "-r", "Z"])).code === 0);
      const isAnswered = killing.process.exitCode !== null;
      // After ten seconds it is answered in any case.
      assert.ok(!isAnswered || performance.now() - begun > 8_000);
    } finally {
      process.kill(monitor, "SIGCONT");
    }
    assert.equal((await killing.wait()).code, 0);
    await daemon.dockerOk(["rm", "box"]);
  });

  test("kill with a signal that does not exist is refused", async () => {
    const { daemon } = suite;
    await runPrinting("box", polite);
    const refused = await daemon.docker(["kill", "-s", "NOPE", "box"]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /cannot kill container: \S+: invalid signal: NOPE/);
  });

  test("pause freezes, unpause goes on", async () => {
    const { daemon } = suite;
    await runPrinting("box", polite);
    await daemon.dockerOk(["pause", "box"]);
    assert.equal(await field("box", ".State.Status"), "paused");
    assert.equal(await field("box", ".State.Running"), "true");
    assert.match(await daemon.dockerOk(["ps", "--format", "{{.Status}}"]), /\(Paused\)$/);
    const refused = await daemon.docker(["exec", "box", "true"]);
    assert.match(refused.stderr, /is paused/);
    await daemon.dockerOk(["unpause", "box"]);
    assert.equal(await field("box", ".State.Status"), "running");
  });

  test("wait: not running returns the last code at once", async () => {
    const { daemon } = suite;
    await daemon.docker(["run", "--name", "done", busybox, "sh", "-c", "exit 4"]);
    assert.equal(await daemon.dockerOk(["wait", "done"]), "4");
    const answer = (await daemon.client.getContainer("done").wait()) as { StatusCode: number };
    assert.equal(answer.StatusCode, 4);
  });

  test("wait: next-exit waits also when it is stopped now", async () => {
    const { daemon } = suite;
    await daemon.docker(["run", "--name", "again", busybox, "sh", "-c", "exit 5"]);
    const waiting = daemon.client.getContainer("again").wait({ condition: "next-exit" }) as Promise<{
      StatusCode: number;
    }>;
    const early = await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 300, "waits"))]);
    assert.equal(early, "waits");
    await daemon.dockerOk(["start", "again"]);
    assert.equal((await waiting).StatusCode, 5);
  });

  test("wait: removed waits for the removal", async () => {
    const { daemon } = suite;
    await daemon.docker(["run", "--name", "soon-gone", busybox, "sh", "-c", "exit 6"]);
    const waiting = daemon.client.getContainer("soon-gone").wait({ condition: "removed" }) as Promise<{
      StatusCode: number;
    }>;
    const early = await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 300, "waits"))]);
    assert.equal(early, "waits");
    await daemon.dockerOk(["rm", "soon-gone"]);
    assert.equal((await waiting).StatusCode, 6);
  });

  test("wait: an unknown condition is 400", async (context) => {
    const { daemon } = suite;
    if (daemon.flavour === "docker") return context.skip("20.10 takes an unknown one for the default");
    await daemon.dockerOk(["create", "--name", "box", busybox, "true"]);
    await assert.rejects(
      daemon.client.getContainer("box").wait({ condition: "never" as "removed" }) as Promise<unknown>,
      { statusCode: 400 },
    );
  });

  test("rename: the new name serves, the old is free; a name in use is 409", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["create", "--name", "old", busybox, "true"]);
    await daemon.dockerOk(["create", "--name", "other", busybox, "true"]);
    await daemon.dockerOk(["rename", "old", "new"]);
    assert.equal(await field("new", ".Name"), "/new");
    const refused = await daemon.docker(["rename", "new", "other"]);
    assert.match(refused.stderr, /already in use/);
    await daemon.dockerOk(["create", "--name", "old", busybox, "true"]);
    const bad = await daemon.docker(["rename", "new", "bad name!"]);
    assert.match(bad.stderr, /Invalid container name/);
  });

  test("top lists the processes as the host sees them", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sh", "-c", "sleep 61 & sleep 62; true"]);
    await eventually(async () => (await daemon.dockerOk(["top", "box"])).includes("sleep 61"));
    const table = await daemon.dockerOk(["top", "box"]);
    assert.match(table, /^UID\s+PID\s+PPID\s+C\s+STIME\s+TTY\s+TIME\s+CMD/);
    assert.equal(table.split("\n").length, 4);
    const custom = await daemon.dockerOk(["top", "box", "-eo", "pid,comm"]);
    assert.match(custom, /^PID\s+COMMAND/);
    await daemon.dockerOk(["kill", "box"]);
    const refused = await daemon.docker(["top", "box"]);
    assert.match(refused.stderr, /is not running/);
  });

  test("rm: a running one is refused, -f removes it", async () => {
    const { daemon } = suite;
    await runPrinting("box", polite);
    const refused = await daemon.docker(["rm", "box"]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /container is running|You cannot remove a running container/);
    assert.equal(await daemon.dockerOk(["rm", "-f", "box"]), "box");
    assert.equal(await daemon.dockerOk(["ps", "-aq"]), "");
    const missing = await daemon.docker(["rm", "box"]);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /No such container: box/);
  });

  test("rm of several goes on after a failure and names it", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["create", "--name", "a1", busybox, "true"]);
    await daemon.dockerOk(["create", "--name", "b1", busybox, "true"]);
    const result = await daemon.docker(["rm", "a1", "missing", "b1"]);
    assert.equal(result.code, 1);
    assert.equal(result.stdout, "a1\nb1\n");
    assert.match(result.stderr, /No such container: missing/);
  });

  test("a container is found by full id, short id and name", async () => {
    const { daemon } = suite;
    const id = await daemon.dockerOk(["create", "--name", "found", busybox, "true"]);
    for (const word of [id, id.slice(0, 12), id.slice(0, 5), "found"])
      assert.equal(await field(word, ".Id"), id);
  });

  test("start -a -i attaches, and gives the exit code", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["create", "-i", "--name", "box", busybox, "sh", "-c", "cat; exit 8"]);
    const result = await daemon.docker(["start", "-ai", "box"], { input: "to the program\n" });
    assert.equal(result.stdout, "to the program\n");
    assert.equal(result.code, 8);
  });

  test("twelve at once start, stop and go", async () => {
    const { daemon } = suite;
    const names = Array.from({ length: 12 }, (_, n) => `many-${n}`);
    const limit = { timeoutMs: 60_000 };
    await Promise.all(
      names.map((name) => daemon.dockerOk(["run", "-d", "--name", name, busybox, "sleep", "60"], limit)),
    );
    const addresses = await Promise.all(
      names.map((name) => field(name, ".NetworkSettings.Networks.bridge.IPAddress")),
    );
    assert.equal(new Set(addresses).size, names.length, addresses.join(" "));
    await daemon.dockerOk(["stop", "-t", "0", ...names], limit);
    await Promise.all(names.map((name) => daemon.dockerOk(["rm", name], limit)));
    assert.equal(await daemon.dockerOk(["ps", "-aq"]), "");
  });
});
