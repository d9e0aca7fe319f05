/** What the daemon's flags and daemon.json say for containers that do not say it themselves, as the kernel shows it. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { flavour, TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";

const cgroupV2 = existsSync("/sys/fs/cgroup/cgroup.controllers");
/** Refuses to make directories; all else is allowed. */
const profile = JSON.stringify({
  defaultAction: "SCMP_ACT_ALLOW",
  syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO" }],
});
const statusLine = (name: string): string[] => ["grep", name, "/proc/self/status"];

/** A daemon with these flags (PROFILE stands for the profile's file) and this daemon.json, not started yet. */
async function prepared(
  content: object,
  flags: readonly string[],
): Promise<AsyncDisposable & { readonly daemon: TestDaemon }> {
  const owner = await TestDaemon.prepare();
  const file = await owner.file("daemon.json", JSON.stringify(content));
  const profilePath = await owner.file("seccomp.json", profile);
  const daemon = await TestDaemon.prepare({
    host: owner.host,
    root: owner.root,
    flags: ["--config-file", file, ...flags.map((flag) => flag.replace("PROFILE", profilePath))],
  });
  return {
    daemon,
    async [Symbol.asyncDispose]() {
      await daemon[Symbol.asyncDispose]();
      await owner[Symbol.asyncDispose]();
    },
  };
}

describe("the daemon's defaults for containers", () => {
  const flags = [
    "--default-ulimit=nofile=1000:2000",
    "--default-ulimit=core=0",
    "--default-shm-size=8m",
    "--default-ipc-mode=shareable",
    "--default-cgroupns-mode=private",
    "--seccomp-profile=PROFILE",
    "--no-new-privileges",
    "--init",
    "--exec-opt=native.cgroupdriver=cgroupfs",
    "--oom-score-adjust=100",
  ];
  const keys = (root: string): object => ({
    "default-ulimits": {
      nofile: { Name: "nofile", Soft: 1000, Hard: 2000 },
      core: { Name: "core", Soft: 0, Hard: 0 },
    },
    "default-shm-size": "8m",
    "default-ipc-mode": "shareable",
    "default-cgroupns-mode": "private",
    "seccomp-profile": join(root, "seccomp.json"),
    "no-new-privileges": true,
    init: true,
    "exec-opts": ["native.cgroupdriver=cgroupfs"],
    "oom-score-adjust": 100,
  });

  for (const way of ["by flag", "by daemon.json"] as const)
    test(`${way}: limits, memory, namespaces, filter, privileges, init`, async () => {
      await using made = await prepared({}, way === "by flag" ? flags : []);
      const { daemon } = made;
      if (way === "by daemon.json")
        await writeFile(join(daemon.root, "daemon.json"), JSON.stringify(keys(daemon.root)));
      await daemon.launch();
      await ensureBusybox(daemon);
      const inside = (options: string[], ...command: string[]): Promise<string> =>
        daemon.dockerOk(["run", "--rm", ...options, busybox, ...command]);
      const limits = ["sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c"];
      assert.equal(await inside([], ...limits), "1000\n2000\n0");
      assert.equal(await inside(["--ulimit", "nofile=500:600"], ...limits), "500\n600\n0");
      const shm = ["sh", "-c", "df -k /dev/shm | tail -1 | awk '{print $2}'"];
      assert.equal(await inside([], ...shm), "8192");
      assert.equal(await inside(["--shm-size", "4m"], ...shm), "4096");
      assert.notEqual((await daemon.docker(["run", "--rm", busybox, "mkdir", "/x"])).code, 0);
      assert.equal(await inside(["--security-opt", "seccomp=unconfined"], "mkdir", "/x"), "");
      // Docker's cannot start a privileged container where the host lacks a capability.
      if (flavour === "gantry")
        assert.equal(await inside(["--privileged", "--cgroupns", "host"], "mkdir", "/x"), "");
      assert.equal(await inside([], ...statusLine("NoNewPrivs")), "NoNewPrivs:\t1");
      assert.equal(
        await inside(["--security-opt", "no-new-privileges=false"], ...statusLine("NoNewPrivs")),
        "NoNewPrivs:\t0",
      );
      assert.match(await inside([], "cat", "/proc/1/cmdline"), /docker-init/);
      assert.doesNotMatch(await inside(["--init=false"], "cat", "/proc/1/cmdline"), /docker-init/);
      const own = await daemon.host.run(["readlink", "/proc/self/ns/cgroup"]);
      assert.notEqual(await inside([], "readlink", "/proc/self/ns/cgroup"), own.stdout.trim());
      if (!cgroupV2 && flavour === "gantry")
        assert.equal(await inside(["--privileged"], "readlink", "/proc/self/ns/cgroup"), own.stdout.trim());
      assert.equal(readFileSync(`/proc/${daemon.pid}/oom_score_adj`, "utf8").trim(), "100");
    });

  test("hold for exec too, and --ipc container: of a plain container is allowed", async () => {
    await using made = await prepared({}, flags);
    const { daemon } = made;
    await daemon.launch();
    await ensureBusybox(daemon);
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sleep", "600"]);
    const text = await daemon.dockerOk([
      "exec",
      "box",
      "sh",
      "-c",
      "ulimit -Hn; grep NoNewPrivs /proc/self/status",
    ]);
    assert.equal(text, "2000\nNoNewPrivs:\t1");
    const ipc = ["readlink", "/proc/self/ns/ipc"];
    assert.equal(
      await daemon.dockerOk(["run", "--rm", "--ipc", "container:box", busybox, ...ipc]),
      await daemon.dockerOk(["exec", "box", ...ipc]),
    );
    const [host] = JSON.parse(await daemon.dockerOk(["inspect", "-f", "[{{json .HostConfig}}]", "box"])) as [
      Record<string, unknown>,
    ];
    assert.equal(host["IpcMode"], "shareable");
    assert.equal(host["CgroupnsMode"], "private");
    assert.equal(host["ShmSize"], 8 * 1024 * 1024);
    const info = (await daemon.client.info()) as { SecurityOptions: string[] };
    assert.ok(info.SecurityOptions.includes(`name=seccomp,profile=${join(daemon.root, "seccomp.json")}`));
  });

  test("--init-path names the program, --seccomp-profile=unconfined filters nothing", async () => {
    await using made = await prepared({}, [
      "--init-path=/usr/bin/docker-init",
      "--seccomp-profile=unconfined",
    ]);
    const { daemon } = made;
    await daemon.launch();
    await ensureBusybox(daemon);
    const run = ["run", "--rm", "--init", busybox];
    const sum = (await daemon.host.run(["sha256sum", "/usr/bin/docker-init"])).stdout.split(" ")[0];
    assert.ok((await daemon.dockerOk([...run, "sha256sum", "/sbin/docker-init"])).startsWith(sum!));
    assert.equal(await daemon.dockerOk([...run, ...statusLine("Seccomp:")]), "Seccomp:\t0");
  });

  test("SIGHUP takes over sizes and modes for containers that are made from then on", async () => {
    await using made = await prepared({ "default-shm-size": "8m" }, []);
    const { daemon } = made;
    await daemon.launch();
    await ensureBusybox(daemon);
    const shm = (): Promise<string> =>
      daemon.dockerOk(["run", "--rm", busybox, "sh", "-c", "df -k /dev/shm | tail -1 | awk '{print $2}'"]);
    assert.equal(await shm(), "8192");
    await writeFile(
      join(daemon.root, "daemon.json"),
      JSON.stringify({ "default-shm-size": "16m", "default-ipc-mode": "shareable" }),
    );
    daemon.signal("SIGHUP");
    await eventually(async () => (await shm()) === "16384", { timeoutMs: 60_000 });
    const id = await daemon.dockerOk(["create", busybox]);
    assert.equal(await daemon.dockerOk(["inspect", "-f", "{{.HostConfig.IpcMode}}", id]), "shareable");
  });

  const realtime = "/sys/fs/cgroup/cpu/cpu.rt_runtime_us";
  test(
    "--cpu-rt-period and --cpu-rt-runtime are the parent group's",
    { skip: !existsSync(realtime) },
    async () => {
      await using made = await prepared({}, ["--cpu-rt-period=500000", "--cpu-rt-runtime=2000"]);
      const { daemon } = made;
      await daemon.launch();
      await ensureBusybox(daemon);
      await daemon.dockerOk([
        "run",
        "-d",
        "--name",
        "box",
        "--cpu-rt-runtime",
        "1000",
        busybox,
        "sleep",
        "600",
      ]);
      const parent = `/sys/fs/cgroup/cpu/${daemon.cgroupParent}`;
      const id = await daemon.dockerOk(["inspect", "-f", "{{.Id}}", "box"]);
      assert.equal(readFileSync(`${parent}/cpu.rt_runtime_us`, "utf8"), "2000\n");
      assert.equal(readFileSync(`${parent}/cpu.rt_period_us`, "utf8"), "500000\n");
      assert.equal(readFileSync(`${parent}/${id}/cpu.rt_runtime_us`, "utf8"), "1000\n");
    },
  );

  const wrong: [flag: string, message: RegExp][] = [
    ["--default-ulimit=nofile", /invalid ulimit argument: nofile/],
    ["--default-ulimit=bogus=1", /invalid ulimit type: bogus/],
    ["--default-ulimit=nofile=5:1", /ulimit soft limit must be less than or equal to hard limit: 5 > 1/],
    ["--default-shm-size=big", /invalid (size|argument)/],
    [
      "--default-ipc-mode=host",
      /IPC mode "?host"? is not supported as default value; use "shareable" or "private"/i,
    ],
    ["--default-ipc-mode=odd", /default IPC mode setting \(odd\) is invalid; use "shareable" or "private"/i],
    [
      "--default-cgroupns-mode=odd",
      /default cgroup namespace mode \(odd\) is invalid; use "host" or "private"/i,
    ],
    [
      "--seccomp-profile=/no/such/file",
      /opening seccomp profile \(\/no\/such\/file\) failed: .*no such file/i,
    ],
    ["--exec-opt=native.cgroupdriver=odd", /native\.cgroupdriver option odd/],
    ["--oom-score-adjust=5000", /5000/],
    ["--cpu-rt-runtime=-1", /cpu-rt/],
  ];
  test("wrong values end the daemon's start with a sentence", { skip: flavour === "docker" }, async () => {
    await using daemon = await TestDaemon.prepare();
    for (const [flag, message] of wrong) {
      const result = await daemon.host.run(daemon.commandLine([flag]), { timeoutMs: 60_000 });
      assert.notEqual(result.code, 0, flag);
      assert.match(`${result.stderr}${result.stdout}`, message, flag);
    }
  });
});
