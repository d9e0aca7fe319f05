/**
 * Disks in trouble: one that is full while images come, builds run, containers are made and logs are written, and one that
 * the kernel makes read-only after an error. What is asked fails with the reason and what to do, nothing half-made is
 * left, what was there stays, and with room or a mended disk everything works again.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { makeContext } from "../helpers/build.ts";
import { assertAtRest, startOnSmallDisk, type SmallDisk } from "../helpers/faults.ts";
import { busybox, busyboxTar, ensureBusybox } from "../helpers/images.ts";
import { assertNoLeaks, takeSettledSnapshot } from "../helpers/leak-check.ts";
import { eventually, mustRun, run, type RunResult } from "../helpers/process.ts";

const slow = { timeoutMs: 120_000 };
const patient = { timeoutMs: 90_000 };
const classic = { ...patient, env: { DOCKER_BUILDKIT: "0" } };

type Act = () => Promise<RunResult>;

/** What writes to the data root, by name. Each can be done again once it failed. */
async function writers(disk: SmallDisk, directory: string): Promise<Map<string, Act>> {
  const { daemon } = disk;
  const docker = (...args: string[]): Act => {
    return () => daemon.docker(args, classic);
  };
  const archive = await busyboxTar(directory);
  const saved = join(directory, "saved.tar");
  await daemon.dockerOk(["import", archive, "saved:1"], patient);
  await daemon.dockerOk(["save", "-o", saved, "saved:1"], patient);
  await daemon.dockerOk(["rmi", "saved:1"], patient);
  const context = await makeContext({
    Dockerfile: `FROM ${busybox}\nCOPY junk /junk\n`,
    // More than what is set aside.
    junk: Buffer.alloc(4_000_000, 7),
  });
  return new Map([
    ["create", docker("create", "--name", "new", busybox, "true")],
    ["run", docker("run", "--rm", busybox, "true")],
    ["start", docker("start", "made")],
    ["load", docker("load", "-i", saved)],
    ["import", docker("import", archive, "imported:1")],
    ["commit", docker("commit", "box", "committed:1")],
    ["build", docker("build", "-t", "built:1", context.directory)],
    ["gantry build", () => daemon.gantry(["build", "-t", "built:2", context.directory], patient)],
    ["cp", docker("cp", archive, "box:/archive")],
    ["volume create", docker("volume", "create", "gt-faults-volume")],
    ["network create", docker("network", "create", "--subnet", "10.203.10.0/24", "gt-faults-network")],
    ["tag", docker("tag", busybox, "tagged:1")],
    ["rename", docker("rename", "made", "renamed")],
  ]);
}

describe("a full disk", { skip: process.env["GANTRY_TEST_ENGINE"] === "docker" }, () => {
  test("whatever writes says so and leaves nothing, and with room all of it works", async () => {
    await using disk = await startOnSmallDisk({ sizeMiB: 96 });
    const { daemon } = disk;
    const directory = await mkdtemp(join(tmpdir(), "gantry-test-writers-"));
    try {
      await ensureBusybox(daemon);
      await daemon.dockerOk(
        [
          "run",
          "-d",
          "--name",
          "box",
          busybox,
          "sh",
          "-c",
          "head -c 3m /dev/urandom > /data; exec sleep 300",
        ],
        patient,
      );
      await daemon.dockerOk(["create", "--name", "made", busybox, "true"], patient);
      const all = await writers(disk, directory);
      await daemon.dockerOk(["exec", "box", "true"], patient);
      // What is opened at its first use and kept is no leak.
      await daemon.dockerOk(["network", "create", "--subnet", "10.203.11.0/24", "gt-faults-first"]);
      await daemon.dockerOk(["network", "rm", "gt-faults-first"]);
      await daemon.dockerOk(["run", "--rm", busybox, "true"], patient);
      const before = await takeSettledSnapshot(daemon);
      for (const [name, act] of all) {
        // What failed before may have given room back, and what is set aside is set aside anew.
        await disk.fill();
        const { code, stdout, stderr } = await act();
        assert.notEqual(code, 0, `${name} did not fail: ${stdout}`);
        assert.match(`${stdout}${stderr}`, /no space left on device/i, name);
        assert.match(`${stdout}${stderr}`, /docker system prune/, name);
      }
      assert.equal(await daemon.dockerOk(["ps", "--format", "{{.Names}}"], patient), "box");
      assert.equal(await daemon.dockerOk(["exec", "box", "echo", "in"], patient), "in");
      await assertAtRest(daemon);
      await disk.makeRoom();
      await assertNoLeaks(daemon, before, { settleMs: 60_000 });
      for (const [name, act] of all) {
        const { code, stderr } = await act();
        assert.equal(code, 0, `${name} with room: ${stderr}`);
      }
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  test("a pull says so and leaves nothing; a container's log has what came before and after, whole lines in order", async () => {
    await using disk = await startOnSmallDisk({ sizeMiB: 48 });
    const { daemon } = disk;
    await ensureBusybox(daemon);
    const script = "i=0; while :; do i=$((i+1)); echo line $i end; usleep 20000; done";
    await daemon.dockerOk(["run", "-d", "--name", "talker", busybox, "sh", "-c", script], patient);
    const lines = async (): Promise<number[]> => {
      const text = await daemon.dockerOk(["logs", "talker"], patient);
      // Before its first line.
      if (text === "") return [];
      return text.split("\n").map((line) => {
        const number = /^line (\d+) end$/.exec(line)?.[1];
        assert.notEqual(number, undefined, `a line is broken: ${line}`);
        return Number(number);
      });
    };
    await eventually(async () => (await lines()).length > 20, slow);
    const early = (await lines()).length;
    await daemon.dockerOk(["tag", busybox, "kept:1"]);
    await daemon.dockerOk(["rmi", "-f", busybox]);
    await disk.fill();
    await daemon.host.run(["sleep", "2"]);
    const { code, stdout, stderr } = await daemon.docker(["import", "-", "big:1"], {
      ...patient,
      input: Buffer.alloc(10_240),
    });
    assert.notEqual(code, 0, stdout);
    assert.match(stderr, /no space left on device/i);
    await assertAtRest(daemon);
    await disk.makeRoom();
    const last = (await lines()).at(-1) ?? 0;
    await eventually(async () => ((await lines()).at(-1) ?? 0) > last + 20, {
      ...slow,
      what: "the log to go on",
    });
    const seen = await lines();
    assert.deepEqual(
      seen.slice(0, early),
      Array.from({ length: early }, (_, n) => n + 1),
    );
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    );
    assert.equal(new Set(seen).size, seen.length);
    await daemon.dockerOk(["pull", busybox], patient);
  });
});

const skip = process.env["GANTRY_TEST_ENGINE"] === "docker";

describe("a daemon that is killed while its disk is full", { skip }, () => {
  for (const what of ["bytes", "inodes"] as const)
    test(`no ${what} are left: the next one starts, what runs goes on, and removing makes room`, async () => {
      await using disk = await startOnSmallDisk({ sizeMiB: 64 });
      const { daemon } = disk;
      const ok = (...args: string[]): Promise<string> => daemon.dockerOk(args, patient);
      const fill = (): Promise<void> => (what === "bytes" ? disk.fill() : disk.fillInodes());
      await ensureBusybox(daemon);
      const talk = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done";
      await ok("run", "-d", "--name", "talker", "--restart", "always", busybox, "sh", "-c", talk);
      await ok("run", "--name", "big", busybox, "dd", "if=/dev/zero", "of=/big", "bs=1M", "count=8");
      await ok("run", "-d", "--name", "ends", busybox, "sh", "-c", "sleep 3; exit 4");
      await ok("run", "--rm", "-v", "data:/data", busybox, "sh", "-c", "echo kept >/data/file");
      const state = "{{.State.Pid}} {{.State.Status}}";
      const runs = await ok("inspect", "-f", state, "talker");
      assert.match(runs, /running/);
      await fill();
      await daemon.killHard();
      await fill();
      await daemon.launch();
      assert.equal(await ok("inspect", "-f", state, "talker"), runs);
      const names = (await ok("ps", "-a", "--format", "{{.Names}}")).split("\n").toSorted();
      assert.deepEqual(names, ["big", "ends", "talker"]);
      const ended = async (): Promise<string> =>
        ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "ends");
      await eventually(async () => (await ended()) === "exited 4", { ...slow, what: "its exit on record" });
      await assertAtRest(daemon);
      // Once more, from what was not given away yet.
      await daemon.killHard();
      await daemon.launch();
      assert.equal(await ok("inspect", "-f", state, "talker"), runs);
      assert.equal(await ended(), "exited 4");
      await ok("stop", "-t", "0", "talker");
      await ok("rm", "big");
      assert.match(await ok("container", "prune", "-f", "--filter", "label=none"), /reclaimed/);
      await disk.makeRoom();
      assert.equal(await ok("run", "--rm", "-v", "data:/data", busybox, "cat", "/data/file"), "kept");
      await ok("start", "talker");
      const { stdout } = await daemon.gantry(["system", "check"], patient);
      assert.match(stdout, /Nothing is wrong/);
    });

  test("one that can set nothing aside any more refuses with what to do, and touches nothing", async () => {
    await using disk = await startOnSmallDisk({ sizeMiB: 64 });
    const { daemon } = disk;
    const ok = (...args: string[]): Promise<string> => daemon.dockerOk(args, patient);
    await ensureBusybox(daemon);
    await ok("run", "-d", "--name", "runs", busybox, "sleep", "600");
    const state = "{{.State.Pid}} {{.State.Status}}";
    const runs = await ok("inspect", "-f", state, "runs");
    await daemon.killHard();
    for (const name of ["tmp", "reserve", "reserve.inodes"])
      await mustRun(daemon.host.command(["rm", "-rf", join(daemon.dataRoot, name)]));
    await disk.fill();
    await disk.fillInodes();
    await assert.rejects(daemon.launch(), /the daemon ended at start/);
    assert.match(
      await daemon.log(),
      /cannot start the daemon: .*no space left on device.*\nMake room on that file system \(df -h and df -i say how much there is\), then start the daemon again\./,
    );
    await disk.makeRoom();
    await daemon.launch();
    assert.equal(await ok("inspect", "-f", state, "runs"), runs);
  });
});

describe("a disk that can only be read", { skip: process.env["GANTRY_TEST_ENGINE"] === "docker" }, () => {
  test("changes are refused in words, what runs runs, nothing spins, and on the mended disk all is there", async (context) => {
    const { code } = await run(["sh", "-c", "command -v mkfs.ext4 && losetup -f"]);
    if (code !== 0) return context.skip("no ext4 or no loop device here");
    await using disk = await startOnSmallDisk({ sizeMiB: 96, kind: "ext4" });
    const { daemon } = disk;
    await ensureBusybox(daemon);
    await daemon.dockerOk(["create", "--name", "made", busybox, "echo", "works"], patient);
    const script = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2; done";
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sh", "-c", script], patient);
    await daemon.dockerOk(["volume", "create", "kept"], patient);
    await eventually(async () => /line 3/.test(await daemon.dockerOk(["logs", "box"])), slow);
    // What is on the disk already, and not only on its way there.
    await daemon.host.run(["sync", "-f", daemon.dataRoot]);
    await disk.breakDown();
    for (const args of [
      ["create", "--name", "new", busybox],
      ["start", "made"],
      ["commit", "box", "new:1"],
      ["volume", "create", "new"],
      ["network", "create", "--subnet", "10.203.12.0/24", "gt-faults-new"],
      ["tag", busybox, "new:1"],
      ["rename", "made", "renamed"],
      ["rm", "made"],
    ]) {
      const { code: failed, stdout, stderr } = await daemon.docker(args, patient);
      assert.notEqual(failed, 0, `${args.join(" ")} did not fail: ${stdout}`);
      assert.match(stderr, /read-only file system|input\/output error/i, args.join(" "));
      assert.match(stderr, /dmesg/, args.join(" "));
    }
    assert.match(await daemon.dockerOk(["logs", "box"], patient), /line 3/);
    assert.equal(await daemon.dockerOk(["exec", "box", "echo", "in"], patient), "in");
    assert.equal(await daemon.dockerOk(["ps", "--format", "{{.Names}}"], patient), "box");
    await daemon.dockerOk(["kill", "box"], patient);
    const state = ["inspect", "-f", "{{.State.Status}}", "box"];
    await eventually(async () => (await daemon.dockerOk(state, patient)) === "exited", slow);
    await assertAtRest(daemon);
    assert.equal(await daemon.stop(), 0);
    await disk.mend();
    await daemon.launch();
    assert.equal(await daemon.dockerOk(["ps", "-a", "--format", "{{.Names}}"], patient), "box\nmade");
    assert.equal(await daemon.dockerOk(state, patient), "exited");
    assert.equal(await daemon.dockerOk(["volume", "ls", "-q"], patient), "kept");
    assert.match(await daemon.dockerOk(["logs", "box"], patient), /^line 1\nline 2\n/);
    await daemon.dockerOk(["start", "made"], patient);
    await eventually(async () => (await daemon.dockerOk(["logs", "made"], patient)) === "works", slow);
    await daemon.dockerOk(["start", "box"], patient);
    return undefined;
  });
});
