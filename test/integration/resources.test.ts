/** Limits of `docker run` and `docker update`, as the kernel has them. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { blockDevice, cgroupParent, resourceRows } from "../helpers/resource-table.ts";
import { useDaemon } from "../helpers/suite.ts";

const isV2 = existsSync("/sys/fs/cgroup/cgroup.controllers");

describe("limits", () => {
  const suite = useDaemon();
  // A parent that was named by a container is the host's: nobody removes it with the container.
  after(() => {
    for (const controller of isV2 ? [""] : readdirSync("/sys/fs/cgroup"))
      try {
        rmdirSync(join("/sys/fs/cgroup", controller, cgroupParent));
      } catch {
        // Not a hierarchy, or the test made none there.
      }
  });
  const run = (flags: readonly string[], script: string) =>
    suite.daemon.docker(["run", "--rm", ...flags, busybox, "sh", "-c", script]);

  for (const { flags, v1, v2 } of resourceRows) {
    const expected = isV2 ? v2 : v1;
    if (flags.some((word) => word.startsWith(blockDevice)) && !existsSync(blockDevice)) continue;
    test(flags.join(" "), async () => {
      if (expected === undefined) {
        const result = await run(flags, "true");
        assert.match(result.stderr, /[Yy]our kernel does not support/);
        return;
      }
      const [command, output] = expected;
      const result = await run(flags, command);
      assert.equal(result.code, 0, result.stderr);
      assert.match(result.stdout.trimEnd(), new RegExp(output, "ms"));
    });
  }

  test("a weight for block devices is set, or said not to be possible", async () => {
    const names = isV2
      ? "/sys/fs/cgroup/io.weight /sys/fs/cgroup/io.bfq.weight"
      : "/sys/fs/cgroup/blkio/blkio.weight /sys/fs/cgroup/blkio/blkio.bfq.weight";
    const result = await run(["--blkio-weight", "300"], `cat ${names} 2>/dev/null; true`);
    if (result.stderr === "") assert.match(result.stdout, /^(default )?(300|2930)$/m);
    else assert.match(result.stderr, /Block I\/O weight/);
  });

  test("a process that is killed for the limit is told at once, its container goes on", async () => {
    const { daemon } = suite;
    const since = String(Math.floor(Date.now() / 1000));
    const script = "tail /dev/zero; echo survived $?; sleep 600";
    await daemon.dockerOk(["run", "-d", "--name", "eater", "-m", "16m", busybox, "sh", "-c", script]);
    await eventually(async () => (await daemon.dockerOk(["logs", "eater"])).includes("survived 137"), {
      timeoutMs: 60_000,
      what: "the end of the greedy process",
    });
    const state = (): Promise<string> =>
      daemon.dockerOk(["inspect", "-f", "{{.State.Status}} {{.State.OOMKilled}}", "eater"]);
    await eventually(async () => (await state()) === "running true", { what: "OOMKilled while it runs" });
    await daemon.dockerOk(["rm", "-f", "eater"]);
    const events = await daemon.dockerOk([
      "events",
      "--since",
      since,
      "--until",
      String(Math.ceil(Date.now() / 1000) + 1),
      "--filter",
      "event=oom",
      "--format",
      "{{.Action}} {{.Actor.Attributes.name}}",
    ]);
    assert.equal(events, "oom eater");
  });

  test("update: every limit, on a container that runs", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "box", "-m", "64m", busybox, "sleep", "600"]);
    const updates: [string[], string, string, string, string][] = [
      [
        ["--memory-reservation", "20m"],
        "memory/memory.soft_limit_in_bytes",
        "20971520",
        "memory.low",
        "20971520",
      ],
      [
        ["-m", "32m", "--memory-swap", "40m"],
        "memory/memory.memsw.limit_in_bytes",
        "41943040",
        "memory.swap.max",
        "8388608",
      ],
      [
        ["-m", "128m", "--memory-swap", "-1"],
        "memory/memory.limit_in_bytes",
        "134217728",
        "memory.max",
        "134217728",
      ],
      [["--cpu-shares", "256"], "cpu/cpu.shares", "256", "cpu.weight", "10"],
      [
        ["--cpu-period", "50000", "--cpu-quota", "10000"],
        "cpu/cpu.cfs_quota_us",
        "10000",
        "cpu.max",
        "10000 50000",
      ],
      [["--cpuset-cpus", "0"], "cpuset/cpuset.cpus", "0", "cpuset.cpus", "0"],
      [["--cpuset-mems", "0"], "cpuset/cpuset.mems", "0", "cpuset.mems", "0"],
      [["--pids-limit", "55"], "pids/pids.max", "55", "pids.max", "55"],
    ];
    for (const [flags, v1File, v1Value, v2File, v2Value] of updates) {
      await daemon.dockerOk(["update", ...flags, "box"]);
      const value = await daemon.dockerOk(["exec", "box", "cat", `/sys/fs/cgroup/${isV2 ? v2File : v1File}`]);
      assert.equal(value, isV2 ? v2Value : v1Value, flags.join(" "));
    }
  });
});
