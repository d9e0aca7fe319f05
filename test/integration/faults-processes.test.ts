/**
 * What containers live by is taken away: conmon killed or missing, the runtime killed in the middle of its work or missing,
 * control groups removed, nftables flushed. Each fails what depends on it with a sentence, nothing is left, and what comes
 * afterwards works.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import type { RunResult } from "../helpers/process.ts";
import { TestDaemon } from "../helpers/daemon.ts";
import { assertAtRest } from "../helpers/faults.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { assertNoLeaks, takeSettledSnapshot, type Snapshot } from "../helpers/leak-check.ts";
import { eventually, mustRun, run } from "../helpers/process.ts";

const slow = { timeoutMs: 120_000 };
const patient = { timeoutMs: 90_000 };

/** When the runtime kills itself, by the name of a file beside it. */
const killings: Readonly<Record<string, string>> = {
  "before-create": '[ "$verb" = create ] && kill -9 $$',
  // The container's process is there and waits to be started.
  "after-create": 'if [ "$verb" = create ]; then "$crun" "$@"; kill -9 $$; fi',
  "in-start": '[ "$verb" = start ] && kill -9 $$',
  "after-start": 'if [ "$verb" = start ]; then "$crun" "$@"; kill -9 $$; fi',
  "in-exec": '[ "$verb" = exec ] && kill -9 $$',
  "in-kill": '[ "$verb" = kill ] && kill -9 $$',
  "in-delete": '[ "$verb" = delete ] && kill -9 $$',
};

const wrapper = (directory: string, crun: string): string => `#!/bin/sh
crun=${crun}
for word in "$@"; do case $word in create|start|exec|kill|delete) verb=$word; break;; esac; done
${Object.entries(killings)
  .map(([name, script]) => `if [ -e ${directory}/${name} ]; then ${script}; fi`)
  .join("\n")}
exec "$crun" "$@"
`;

describe("without what containers live by", { skip: process.env["GANTRY_TEST_ENGINE"] === "docker" }, () => {
  let daemon: TestDaemon;
  let programs = "";
  let baseline: Snapshot;

  before(async () => {
    // The daemon finds these first, so that they can be taken away from it.
    programs = await mkdtemp(join(tmpdir(), "gantry-test-programs-"));
    const place = async (name: string): Promise<string> =>
      (await mustRun(["sh", "-c", `command -v ${name}`])).stdout.trim();
    const crun = await place("crun");
    await copyFile(await place("conmon"), join(programs, "conmon"));
    await copyFile(crun, join(programs, "crun"));
    await writeFile(join(programs, "mortal"), wrapper(programs, crun), { mode: 0o755 });
    daemon = await TestDaemon.start({
      flags: ["--add-runtime", `mortal=${join(programs, "mortal")}`],
      env: { PATH: `${programs}:${process.env["PATH"] ?? ""}` },
    });
    await ensureBusybox(daemon);
    await daemon.dockerOk(["run", "--rm", "--runtime", "mortal", "-p", "18080:80", busybox, "true"], patient);
    const id = await daemon.dockerOk(["run", "-d", busybox, "sleep", "60"], patient);
    await daemon.dockerOk(["exec", id, "true"], patient);
    await daemon.removeContainers();
    baseline = await takeSettledSnapshot(daemon);
  });
  afterEach(() => daemon.removeContainers());
  after(async () => {
    await daemon[Symbol.asyncDispose]();
    await rm(programs, { recursive: true, force: true });
  });

  const docker = (...args: string[]): Promise<RunResult> => daemon.docker(args, patient);
  const ok = (...args: string[]): Promise<string> => daemon.dockerOk(args, patient);
  const fails = async (expected: RegExp, ...args: string[]): Promise<void> => {
    const { code, stdout, stderr } = await docker(...args);
    assert.notEqual(code, 0, `${args.join(" ")} did not fail: ${stdout}`);
    assert.match(`${stdout}${stderr}`, expected);
  };
  const state = (name: string): Promise<string> =>
    ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name);
  const becomes = (name: string, wanted: string): Promise<void> =>
    eventually(async () => (await state(name)) === wanted, { ...slow, what: `${name} to be ${wanted}` });
  const startsAndSays = async (name: string, words: string): Promise<void> => {
    await ok("start", name);
    await becomes(name, "exited 0");
    // A start that failed at its very end may have let it speak before.
    assert.equal((await ok("logs", name)).split("\n").at(-1), words);
  };
  const allClear = async (): Promise<void> => {
    await daemon.removeContainers();
    await assertNoLeaks(daemon, baseline, { settleMs: 60_000 });
    assert.equal(await ok("run", "--rm", busybox, "echo", "works"), "works");
  };
  /** Runs `work` while the runtime kills itself at that place. */
  const killing = async (name: keyof typeof killings, work: () => Promise<void>): Promise<void> => {
    await writeFile(join(programs, name), "");
    try {
      await work();
    } finally {
      await rm(join(programs, name), { force: true });
    }
  };
  const monitorOf = async (name: string): Promise<number> => {
    const pid = await ok("inspect", "-f", "{{.State.Pid}}", name);
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  };

  test("conmon killed: the container is ended and says why, waiters are told, its policy starts it again", async () => {
    await ok("run", "-d", "--name", "box", busybox, "sh", "-c", "echo out; exec sleep 300");
    await ok(
      "run",
      "-d",
      "--name",
      "again",
      "-p",
      "18080:80",
      "--restart",
      "always",
      busybox,
      "sleep",
      "300",
    );
    // Its processes are in no namespace whose end would end them.
    const marker = `30${process.pid}`;
    const script = `sleep ${marker} & sleep ${marker}`;
    await ok("run", "-d", "--name", "shared", "--pid", "host", busybox, "sh", "-c", script);
    await ok("exec", "-d", "box", "sleep", "300");
    await eventually(async () => (await ok("logs", "box")) === "out", slow);
    const waiting = docker("wait", "box");
    const pid = await ok("inspect", "-f", "{{.State.Pid}}", "again");
    for (const name of ["box", "again", "shared"]) process.kill(await monitorOf(name), "SIGKILL");
    assert.equal((await waiting).stdout, "137\n");
    await becomes("box", "exited 137");
    await becomes("shared", "exited 137");
    assert.match(await ok("inspect", "-f", "{{.State.Error}}", "box"), /monitor \(conmon\) was killed/);
    assert.equal(await ok("logs", "box"), "out");
    await eventually(async () => (await run(["pgrep", "-f", `sleep ${marker}`])).code === 1, {
      ...slow,
      what: "the processes of the container without namespace to end",
    });
    await eventually(
      async () => (await ok("inspect", "-f", "{{.State.Running}} {{.State.Pid}}", "again")) !== `true ${pid}`,
      slow,
    );
    await becomes("again", "running 0");
    await ok("start", "box");
    assert.equal(await ok("inspect", "-f", "{{.State.Error}}", "box"), "");
    await assertAtRest(daemon);
    await allClear();
  });

  test("conmon missing: said by name, what runs can be stopped, and it works again", async () => {
    await ok("run", "-d", "--name", "box", busybox, "sleep", "300");
    await rm(join(programs, "conmon"));
    const words = /conmon cannot be started: \S+\/conmon has been removed\. Install it again/;
    await fails(words, "run", "--name", "new", busybox, "true");
    await fails(words, "exec", "box", "true");
    await ok("stop", "-t", "0", "box");
    await copyFile("/usr/bin/conmon", join(programs, "conmon"));
    await ok("start", "new");
    await becomes("new", "exited 0");
    await allClear();
  });

  test("the runtime missing: said by name; what it started is served from memory, and it works again", async () => {
    await ok("run", "-d", "--name", "box", busybox, "sleep", "300");
    await ok("run", "-d", "--name", "scripted", "--runtime", "mortal", busybox, "sleep", "300");
    const script = readFileSync(join(programs, "mortal"));
    await rm(join(programs, "crun"));
    await rm(join(programs, "mortal"));
    assert.equal(await ok("exec", "box", "echo", "in"), "in");
    await fails(/runtime crun cannot be used: there is no program \S+\/crun/, "run", busybox, "true");
    await ok("pause", "box");
    await ok("unpause", "box");
    await ok("stop", "-t", "0", "box");
    await fails(/runtime crun cannot be used: there is no program/, "start", "box");
    await fails(
      /the runtime mortal cannot be started: \S+ has been removed\. Install/,
      "exec",
      "scripted",
      "true",
    );
    await fails(/the runtime mortal cannot be started: \S+ has been removed\. Install/, "pause", "scripted");
    await ok("rm", "-f", "scripted");
    await copyFile("/usr/bin/crun", join(programs, "crun"));
    await ok("start", "box");
    await writeFile(join(programs, "mortal"), script, { mode: 0o755 });
    await allClear();
  });

  for (const [place, words] of [
    ["before-create", /mortal create failed: the runtime ended, or was killed, without a message/],
    ["after-create", /mortal create failed: the runtime ended, or was killed, without a message/],
    ["in-start", /the runtime mortal was ended by signal 9 in its start.*Try again/],
    ["after-start", /the runtime mortal was ended by signal 9 in its start.*Try again/],
  ] as const)
    test(`the runtime killed ${place}: the start fails, nothing is left, the next one works`, async () => {
      await ok("create", "--name", "box", "--runtime", "mortal", busybox, "echo", "works");
      await killing(place, () => fails(words, "start", "box"));
      assert.equal(await state("box"), "created 128");
      await startsAndSays("box", "works");
      await allClear();
    });

  test("the runtime killed in exec, kill and delete: the container runs, ends, and goes", async () => {
    await ok("run", "-d", "--name", "box", "--runtime", "mortal", busybox, "sleep", "300");
    await killing("in-exec", () =>
      fails(/the runtime ended, or was killed, without a message/, "exec", "box", "true"),
    );
    assert.equal(await ok("exec", "box", "echo", "in"), "in");
    await killing("in-delete", async () => {
      await killing("in-kill", async () => {
        await ok("kill", "box");
        await becomes("box", "exited 137");
      });
      await ok("rm", "box");
      await assertNoLeaks(daemon, baseline, { settleMs: 60_000 });
    });
    await allClear();
  });

  test("the container's control group gone: said where it is needed, the rest works, a restart makes it anew", async () => {
    const script = "trap 'exit 7' TERM; echo up; while :; do sleep 0.1; done";
    const id = await ok("run", "-d", "--name", "box", "-m", "64m", busybox, "sh", "-c", script);
    await eventually(async () => (await ok("logs", "box")) === "up", slow);
    await removeGroup(join(daemon.cgroupParent, id));
    const words = /its control group is gone.*Restart the container/s;
    await fails(words, "exec", "box", "true");
    await fails(words, "pause", "box");
    await fails(words, "update", "-m", "32m", "--memory-swap", "32m", "box");
    assert.match(await ok("top", "box"), /sh -c/);
    assert.equal(await ok("stats", "--no-stream", "--format", "{{.Name}}", "box"), "box");
    const copied = await mkdtemp(join(tmpdir(), "gantry-test-copied-"));
    await ok("cp", "box:/etc/passwd", copied);
    await rm(copied, { recursive: true });
    await ok("stop", "box");
    assert.equal(await state("box"), "exited 7");
    await ok("start", "box");
    assert.equal(await ok("exec", "box", "echo", "in"), "in");
    await assertAtRest(daemon);
    await allClear();
  });

  test("the parent control group gone: the next start makes it anew", async () => {
    await removeGroup(daemon.cgroupParent);
    assert.equal(await ok("run", "--rm", "-m", "64m", busybox, "echo", "works"), "works");
    await allClear();
  });

  test("nftables flushed, again and again: published ports lead to their containers as before", async () => {
    const script = "while :; do echo web | nc -l -p 80; done";
    await ok("run", "-d", "--name", "web", "-p", "18080:80", busybox, "sh", "-c", script);
    const rules = async (): Promise<string> => (await daemon.host.run(["nft", "list", "ruleset"])).stdout;
    const isWhole = async (): Promise<boolean> => /18080/.test(await rules());
    await eventually(isWhole, slow);
    for (let round = 0; round < 5; round++) await daemon.host.run(["nft", "flush", "ruleset"]);
    await eventually(isWhole, { ...slow, what: "the table to be written again" });
    await eventually(
      async () =>
        (await daemon.host.run(["sh", "-c", "busybox nc -w 3 127.0.0.1 18080 </dev/null"])).stdout ===
        "web\n",
      { ...slow, what: "an answer through the published port" },
    );
    assert.equal(await ok("run", "--rm", "-p", "18081:80", busybox, "echo", "works"), "works");
    await assertAtRest(daemon);
    await allClear();
  });
});

/** Moves the processes of a control group to the top, in every hierarchy, and removes it. */
async function removeGroup(group: string): Promise<void> {
  const script = `for top in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ -d "$top/$1" ] || continue
    tries=0
    until ! [ -d "$top/$1" ]; do
      for list in $(find "$top/$1" -name cgroup.procs); do
        for pid in $(cat $list); do echo $pid > "$top/cgroup.procs" 2>/dev/null; done
      done
      find "$top/$1" -depth -type d -exec rmdir {} \\; 2>/dev/null
      tries=$((tries + 1))
      [ $tries -lt 500 ] || exit 1
    done
  done`;
  await mustRun(["sh", "-c", script, "remove-group", group], patient);
}
