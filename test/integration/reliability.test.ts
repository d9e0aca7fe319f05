/**
 * The daemon is not on a container's life path: killed at any moment and started again, it finds every container, its
 * log and its exit code; what a crash left half-made is cleaned up.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { assertNoLeaks, takeSnapshot } from "../helpers/leak-check.ts";
import { eventually, run } from "../helpers/process.ts";
import { openTestHost } from "../helpers/test-host.ts";
import { useDaemon } from "../helpers/suite.ts";

const counter = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; usleep 5000; done"];

/** Asserts 1, 2, 3 … without a gap, and returns the last. */
function assertCounted(text: string, atLeast: number): number {
  const lines = text.trimEnd().split("\n");
  for (const [index, line] of lines.entries())
    if (line !== String(index + 1)) throw new Error(`line ${index + 1} is ${JSON.stringify(line)}`);
  assert.ok(lines.length >= atLeast, `only ${lines.length} lines`);
  return lines.length;
}

describe("kill -9 of the daemon", { skip: process.env["GANTRY_TEST_ENGINE"] === "docker" }, () => {
  // A daemon that starts anew opens other descriptors than one that ran for a while.
  const suite = useDaemon({ leaves: ["descriptors"] });

  const field = (name: string, path: string): Promise<string> =>
    suite.daemon.dockerOk(["inspect", "-f", `{{${path}}}`, name]);

  test("the container runs on: ps, logs -f, exec, stop and the exit code work, no line is lost", async () => {
    const { daemon } = suite;
    const script = `trap 'echo end; exit 33' TERM; ${counter[2]}`;
    await daemon.dockerOk(["run", "-d", "--name", "box", "-p", "18400:80", busybox, "sh", "-c", script]);
    const before = await daemon.client.getContainer("box").inspect();
    await eventually(async () => (await daemon.dockerOk(["logs", "box"])).split("\n").length > 20);
    await daemon.killHard();
    assert.equal((await run(["kill", "-0", String(before.State.Pid)])).code, 0, "the program is gone");
    await daemon.host.run(["sleep", "0.5"]);
    await daemon.launch();
    assert.match(
      await daemon.dockerOk(["ps", "--format", "{{.Names}} {{.Ports}}"]),
      /^box 0\.0\.0\.0:18400->80\/tcp/,
    );
    const after = await daemon.client.getContainer("box").inspect();
    assert.equal(after.State.Pid, before.State.Pid);
    assert.equal(after.State.StartedAt, before.State.StartedAt);
    assert.deepEqual(after.NetworkSettings.Networks, before.NetworkSettings.Networks);
    const following = daemon.startDocker(["logs", "-f", "box"]);
    assert.equal(await daemon.dockerOk(["exec", "box", "echo", "exec works"]), "exec works");
    assert.match(await daemon.dockerOk(["top", "box"]), /usleep|sh -c/);
    await daemon.host.run(["sleep", "0.3"]);
    await daemon.dockerOk(["stop", "box"]);
    assert.equal(await field("box", ".State.ExitCode"), "33");
    const followed = await following.wait();
    const text = followed.stdout;
    assert.match(text, /\nend\n$/);
    assertCounted(text.replace(/end\n$/, ""), 100);
    assert.equal((await daemon.docker(["logs", "box"])).stdout, text);
  });

  test("ten times over, the log has no gap and the published port answers", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, ...counter]);
    await daemon.dockerOk([
      "run",
      "-d",
      "--name",
      "web",
      "-p",
      "18401:80",
      busybox,
      "nc",
      "-ll",
      "-p",
      "80",
      "-e",
      "echo",
      "web",
    ]);
    for (let round = 0; round < 10; round++) {
      await daemon.killHard();
      await daemon.launch();
      const answer = await daemon.host.run(["sh", "-c", "busybox nc -w 3 127.0.0.1 18401 </dev/null"]);
      assert.equal(answer.stdout, "web\n", `round ${round}`);
    }
    await daemon.dockerOk(["kill", "box"]);
    await daemon.dockerOk(["wait", "box"]);
    assertCounted((await daemon.docker(["logs", "box"])).stdout, 100);
  });

  test("a container that ends while the daemon is down: exit code, log, and its network is released", async () => {
    const { daemon } = suite;
    await daemon.dockerOk([
      "run",
      "-d",
      "--name",
      "box",
      busybox,
      "sh",
      "-c",
      "sleep 0.5; echo last words; exit 44",
    ]);
    await daemon.killHard();
    await daemon.host.run(["sleep", "1.2"]);
    await daemon.launch();
    await eventually(async () => (await field("box", ".State.Status")) === "exited");
    assert.equal(await field("box", ".State.ExitCode"), "44");
    assert.equal(await daemon.dockerOk(["wait", "box"]), "44");
    assert.equal(await daemon.dockerOk(["logs", "box"]), "last words");
    const info = await daemon.client.getContainer("box").inspect();
    const endedMsAgo = Date.now() - Date.parse(info.State.FinishedAt);
    assert.ok(
      endedMsAgo > 500,
      `FinishedAt is the time of the exit, not of the restart (${endedMsAgo} ms ago)`,
    );
  });

  test("after a reboot: policies start what they want, --rm is done with its volumes, logs are whole", async () => {
    const { daemon } = suite;
    const script = "seq 1 2000; exec sleep 300";
    for (const policy of ["no", "always", "unless-stopped", "on-failure"])
      await daemon.dockerOk([
        "run",
        "-d",
        "--name",
        policy,
        "--restart",
        policy,
        busybox,
        "sh",
        "-c",
        script,
      ]);
    await daemon.dockerOk(["run", "-d", "--rm", "--name", "gone", "-v", "/data", busybox, "sleep", "300"]);
    await daemon.dockerOk([
      "run",
      "-d",
      "--name",
      "stopped",
      "--restart",
      "unless-stopped",
      busybox,
      "sleep",
      "300",
    ]);
    await daemon.dockerOk(["stop", "-t", "0", "stopped"]);
    await daemon.host.run(["sleep", "0.5"]);
    await daemon.killHard();
    await reboot(daemon);
    await daemon.launch();
    const state = (name: string): Promise<string> =>
      daemon.dockerOk(["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name]);
    for (const name of ["always", "unless-stopped", "on-failure"])
      await eventually(async () => (await state(name)) === "running 0", { what: name });
    assert.equal(await state("no"), "exited 255");
    assert.match(await state("stopped"), /^exited 137$/);
    assert.equal(await daemon.dockerOk(["ps", "-aq", "-f", "name=gone"]), "");
    assert.equal(await daemon.dockerOk(["volume", "ls", "-q"]), "");
    const lines = (await daemon.dockerOk(["logs", "no"])).split("\n").map(Number);
    assert.deepEqual([lines.length, lines[0], lines.at(-1)], [2000, 1, 2000]);
  });

  test("--rm is done for a container that ended while the daemon was down", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--rm", "--name", "box", busybox, "sleep", "0.5"]);
    await daemon.killHard();
    await daemon.host.run(["sleep", "1"]);
    await daemon.launch();
    await eventually(async () => (await daemon.dockerOk(["ps", "-aq"])) === "");
  });

  test("a container that was killed with its monitor is not taken for running", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sleep", "60"]);
    const pid = await field("box", ".State.Pid");
    const parent = /^\d+ \(.*\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1] ?? "";
    await daemon.killHard();
    process.kill(Number(parent), "SIGKILL");
    process.kill(Number(pid), "SIGKILL");
    await daemon.launch();
    await eventually(async () => (await field("box", ".State.Status")) === "exited");
    assert.notEqual(await field("box", ".State.ExitCode"), "0");
    await daemon.dockerOk(["start", "box"]);
    assert.equal(await field("box", ".State.Running"), "true");
  });

  test("the monitor's death is noticed while the daemon runs", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sleep", "60"]);
    const pid = await field("box", ".State.Pid");
    const parent = /^\d+ \(.*\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1] ?? "";
    process.kill(Number(parent), "SIGKILL");
    process.kill(Number(pid), "SIGKILL");
    await eventually(async () => (await field("box", ".State.Status")) === "exited");
  });

  test("an exec that runs goes on, and its container still stops", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sleep", "60"]);
    await daemon.dockerOk(["exec", "-d", "box", "sh", "-c", "sleep 0.7; echo done > /proof"]);
    await daemon.killHard();
    await daemon.launch();
    await eventually(async () => (await daemon.docker(["exec", "box", "cat", "/proof"])).stdout === "done\n");
    await daemon.dockerOk(["stop", "-t", "1", "box"]);
  });

  test("a terminal can be attached to again", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-dit", "--name", "box", busybox, "sh"]);
    await daemon.killHard();
    await daemon.launch();
    const terminal = daemon.dockerOnPty(["attach", "box"]);
    await terminal.waitFor(/# /);
    terminal.type("echo $((20 + 22))\n");
    await terminal.waitFor(/\r\n42\r\n/);
    terminal.type("exit 3\n");
    assert.equal(await terminal.wait(), 3);
  });

  test("in the middle of starting containers: none is half there afterwards", async () => {
    const { daemon } = suite;
    for (let round = 0; round < 4; round++) {
      const starting = Array.from({ length: 6 }, (_, n) =>
        daemon.docker(["run", "-d", "--name", `mid-${round}-${n}`, busybox, "sleep", "60"], {
          timeoutMs: 30_000,
        }),
      );
      await daemon.host.run(["sleep", String(0.05 + 0.06 * round)]);
      await daemon.killHard();
      await Promise.all(starting);
      await daemon.launch();
      for (const listed of await daemon.client.listContainers({ all: true })) {
        const info = await daemon.client.getContainer(listed.Id).inspect();
        const alive = (await run(["kill", "-0", String(info.State.Pid || 2 ** 22)])).code === 0;
        assert.equal(alive, info.State.Running, `${listed.Names.join()} is ${info.State.Status}`);
        assert.ok(["created", "running", "exited"].includes(info.State.Status), info.State.Status);
      }
      await daemon.removeContainers();
    }
  });
});

describe("SIGTERM and SIGHUP", { skip: process.env["GANTRY_TEST_ENGINE"] === "docker" }, () => {
  test("SIGTERM ends the daemon cleanly and leaves containers running", async () => {
    await using daemon = await TestDaemon.start();
    await ensureBusybox(daemon);
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, ...counter]);
    const pid = await daemon.dockerOk(["inspect", "-f", "{{.State.Pid}}", "box"]);
    assert.equal(readFileSync(daemon.pidfile, "utf8").trim(), String(daemon.pid));
    assert.equal(await daemon.stop(), 0);
    assert.throws(() => readFileSync(daemon.pidfile), { code: "ENOENT" });
    assert.throws(() => readFileSync(daemon.socket), { code: "ENOENT" });
    assert.equal((await run(["kill", "-0", pid])).code, 0, "the container is gone");
    await daemon.launch();
    assert.equal(await daemon.dockerOk(["inspect", "-f", "{{.State.Pid}}", "box"]), pid);
    await daemon.dockerOk(["kill", "box"]);
    assertCounted((await daemon.docker(["logs", "box"])).stdout, 10);
  });

  test("with no container left, the end of the daemon leaves nothing in the kernel", async () => {
    await using host = await openTestHost();
    await using daemon = await TestDaemon.prepare({ host });
    const before = await takeSnapshot(daemon);
    await daemon.launch();
    await ensureBusybox(daemon);
    await daemon.dockerOk(["run", "--rm", "-p", "18402:80", busybox, "true"]);
    await daemon.stop();
    await assertNoLeaks(daemon, before, { ignore: ["exec-root", "data-root"] });
  });

  test("SIGHUP reloads labels of daemon.json, and a bad file changes nothing", async () => {
    await using daemon = await TestDaemon.prepare();
    const path = await daemon.file("daemon.json", JSON.stringify({ labels: ["state=first"] }));
    await using started = await TestDaemon.start({
      host: daemon.host,
      root: `${daemon.root}/reload`,
      flags: ["--config-file", path],
    });
    const labels = async (): Promise<unknown> =>
      ((await started.client.info()) as { Labels: unknown }).Labels;
    assert.deepEqual(await labels(), ["state=first"]);
    await daemon.file("daemon.json", JSON.stringify({ labels: ["state=second"] }));
    started.signal("SIGHUP");
    await eventually(async () => JSON.stringify(await labels()) === '["state=second"]');
    await daemon.file("daemon.json", "{ this is no JSON");
    started.signal("SIGHUP");
    await daemon.host.run(["sleep", "0.3"]);
    assert.deepEqual(await labels(), ["state=second"]);
    assert.ok(await started.ping());
  });
});

describe("two daemons", { skip: process.env["GANTRY_TEST_ENGINE"] === "docker" }, () => {
  test("side by side on one host: names, bridges and ports do not meet, and one's end is nothing to the other", async () => {
    await using host = await openTestHost();
    await using one = await TestDaemon.start({ host, bridge: "gt-qa-one", bip: "10.249.1.1/24" });
    await using two = await TestDaemon.start({ host, bridge: "gt-qa-two", bip: "10.249.2.1/24" });
    await Promise.all([ensureBusybox(one), ensureBusybox(two)]);
    const serve = (word: string): string[] => [busybox, "nc", "-ll", "-p", "80", "-e", "echo", word];
    await one.dockerOk(["run", "-d", "--name", "same", "-p", "18410:80", ...serve("one")]);
    await two.dockerOk(["run", "-d", "--name", "same", "-p", "18411:80", ...serve("two")]);
    const ask = async (port: number): Promise<string> =>
      (await host.run(["sh", "-c", `busybox nc -w 3 127.0.0.1 ${port} </dev/null`])).stdout.trim();
    assert.deepEqual([await ask(18410), await ask(18411)], ["one", "two"]);
    const busy = await two.docker(["run", "--rm", "-p", "18410:80", busybox, "true"]);
    assert.equal(busy.code, 125);
    assert.match(busy.stderr, /18410/);
    assert.equal(
      await one.dockerOk(["ps", "-aq", "--filter", "name=same"]).then((ids) => ids.split("\n").length),
      1,
    );
    await one.dockerOk(["rm", "-f", "same"]);
    await one.stop();
    assert.equal(await ask(18411), "two");
    assert.equal(await two.dockerOk(["exec", "same", "echo", "alive"]), "alive");
    assert.equal(await two.dockerOk(["run", "--rm", busybox, "echo", "more"]), "more");
  });

  test("a second daemon on the same root is refused, and the first goes on", async () => {
    await using daemon = await TestDaemon.start();
    const second = await daemon.host.run(daemon.commandLine(), { timeoutMs: 60_000 });
    assert.notEqual(second.code, 0);
    assert.match(`${second.stderr}${second.stdout}`, /another one uses the data root/);
    assert.ok(second.stderr.includes(daemon.dataRoot), second.stderr);
    assert.ok(await daemon.ping());
  });
});

/** What is left of a killed daemon's work when the machine is started anew: the data root, and nothing of the kernel's. */
async function reboot(daemon: TestDaemon): Promise<void> {
  const script = `
    for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
      [ -d "$root/$1" ] && find "$root/$1" -name cgroup.procs -exec cat {} + 2>/dev/null
    done | sort -u | while read -r pid; do kill -9 "$pid" 2>/dev/null; done
    sleep 0.5
    grep -o " $2/[^ ]*" /proc/self/mountinfo | sort -r | while read -r target; do umount -l "$target" 2>/dev/null; done
    for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
      [ -d "$root/$1" ] && find "$root/$1" -depth -type d -exec rmdir {} \\; 2>/dev/null
    done
    rm -rf --one-file-system "$3"
    ip -j link | tr ',' '\\n' | sed -n 's/.*"ifname":"\\(ve[^"]*\\)".*/\\1/p' | while read -r name; do ip link del "$name"; done
    nft flush ruleset
    true`;
  await daemon.host.run(["sh", "-c", script, "reboot", daemon.cgroupParent, daemon.root, daemon.execRoot]);
}
