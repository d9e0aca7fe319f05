/** `docker update`: the kernel's limits follow at once, the record keeps them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { flavour } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("update", () => {
  const suite = useDaemon();
  const ok = (...args: string[]): Promise<string> => suite.daemon.dockerOk(args);
  /** The limits as the host's control groups have them. */
  const kernel = async (): Promise<Record<string, string>> => {
    const pid = await ok("inspect", "-f", "{{.State.Pid}}", "box");
    const script = `
      for spec in memory:memory.limit_in_bytes:memory.max pids:pids.max:pids.max cpu:cpu.shares:cpu.weight cpu:cpu.cfs_quota_us:cpu.max; do
        controller=\${spec%%:*}; rest=\${spec#*:}
        path=$(awk -F: -v c=$controller 'index("," $2 ",", "," c ",") {print $3}' /proc/$1/cgroup)
        if [ -n "$path" ]; then echo "$controller $(cat /sys/fs/cgroup/$controller$path/\${rest%%:*})"
        else path=$(sed -n 's/^0:://p' /proc/$1/cgroup); echo "$controller $(cat /sys/fs/cgroup$path/\${rest#*:})"; fi
      done`;
    const { stdout } = await suite.daemon.host.run(["sh", "-c", script, "kernel", pid]);
    const [memory = "", pids = "", shares = "", quota = ""] = stdout
      .trim()
      .split("\n")
      .map((line) => line.split(" ").slice(1).join(" "));
    return { memory, pids, shares, quota };
  };

  test("memory, processors and processes of a running container", async () => {
    await ok("run", "-d", "--name", "box", "-m", "64m", busybox, "sleep", "200");
    await ok("update", "-m", "32m", "--memory-swap", "64m", "--pids-limit", "33", "--cpus", "0.5", "box");
    const lower = await kernel();
    assert.equal(lower["memory"], String(32 << 20));
    assert.equal(lower["pids"], "33");
    assert.match(lower["quota"] ?? "", /^50000\b/);
    await ok("update", "-m", "128m", "--memory-swap", "256m", "--cpu-shares", "512", "box");
    const higher = await kernel();
    assert.equal(higher["memory"], String(128 << 20));
    assert.equal(higher["pids"], "33");
    assert.match(higher["quota"] ?? "", /^50000\b/);
    const record = await ok(
      "inspect",
      "-f",
      "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.CpuShares}} {{.HostConfig.PidsLimit}}",
      "box",
    );
    assert.equal(record, `${128 << 20} 500000000 512 33`);
    await ok("update", "--pids-limit", "-1", "box");
    assert.equal((await kernel())["pids"], "max");
    // Devices are as they were.
    await ok("exec", "box", "sh", "-c", "echo >/dev/null && head -c 1 /dev/zero >/dev/null");
    // A restart takes the new limits, too.
    await ok("restart", "-t", "0", "box");
    assert.equal((await kernel())["memory"], String(128 << 20));
  });

  test("the restart policy, and a container that does not run", async () => {
    await ok("create", "--name", "box", busybox, "sleep", "200");
    // One without a limit of its swap gets both at once.
    const memoryAlone = await suite.daemon.docker(["update", "-m", "64m", "box"]);
    assert.match(
      memoryAlone.stderr,
      /Cannot update container [0-9a-f]{64}: Memory limit .* at the same time/,
    );
    await ok("update", "--restart", "on-failure:3", "-m", "64m", "--memory-swap", "128m", "box");
    const policy = await ok(
      "inspect",
      "-f",
      "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}",
      "box",
    );
    assert.equal(policy, "on-failure 3");
    await ok("start", "box");
    assert.equal((await kernel())["memory"], String(64 << 20));
    if (flavour === "docker") return;
    const own = await suite.daemon.gantry(["update", "--restart", "no", "--cpus", "0.25", "box"]);
    assert.deepEqual([own.code, own.stdout], [0, "box\n"]);
    assert.match((await kernel())["quota"] ?? "", /^25000\b/);
    assert.match((await suite.daemon.gantry(["update", "box"])).stderr, /must provide one or more flags/);
  });

  test("what cannot be", async () => {
    await ok(
      "run",
      "-d",
      "--rm",
      "--name",
      "box",
      "-m",
      "64m",
      "--cpu-period",
      "100000",
      busybox,
      "sleep",
      "200",
    );
    const fails = async (pattern: RegExp, ...args: string[]): Promise<void> => {
      const result = await suite.daemon.docker(["update", ...args]);
      assert.equal(result.code, 1);
      assert.match(result.stderr, pattern);
    };
    await fails(/update the memoryswap at the same time/, "-m", "1g", "box");
    await fails(/Minimum memory limit allowed is 6MB/, "-m", "1m", "--memory-swap", "2m", "box");
    await fails(/AutoRemove is enabled/, "--restart", "always", "box");
    await fails(/Nano CPUs cannot be updated as CPU Period/, "--cpus", "1", "box");
    await fails(/No such container: nobody/, "-m", "64m", "nobody");
    assert.equal((await kernel())["memory"], String(64 << 20));
  });
});
