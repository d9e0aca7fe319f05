/** Namespaces, rights and devices of `docker run`, judged by what the kernel says inside the container. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

const cgroupV2 = existsSync("/sys/fs/cgroup/cgroup.controllers");
const status = ["cat", "/proc/self/status"] as const;

/** The mask on a line of /proc/PID/status. */
const mask = (text: string, name: string): bigint =>
  BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, "m").exec(text)![1]}`);
const hostBounding = mask(readFileSync("/proc/self/status", "utf8"), "CapBnd");
const capability = {
  CHOWN: 1n << 0n,
  NET_ADMIN: 1n << 12n,
  NET_RAW: 1n << 13n,
  SYS_ADMIN: 1n << 21n,
} as const;

describe("namespaces", () => {
  const suite = useDaemon();
  const run = (flags: string[], ...command: string[]) =>
    suite.daemon.docker(["run", "--rm", ...flags, busybox, ...command]);
  const inside = (flags: string[], ...command: string[]): Promise<string> =>
    suite.daemon.dockerOk(["run", "--rm", ...flags, busybox, ...command]);
  const namespace = async (flags: string[], name: string): Promise<string> =>
    inside(flags, "readlink", `/proc/self/ns/${name}`);
  const ofHost = async (name: string): Promise<string> =>
    (await suite.daemon.host.run(["readlink", `/proc/self/ns/${name}`])).stdout.trim();
  const sleeper = (name: string, ...flags: string[]): Promise<string> =>
    suite.daemon.dockerOk(["run", "-d", "--name", name, ...flags, busybox, "sleep", "600"]);
  const ofContainer = (name: string, kind: string): Promise<string> =>
    suite.daemon.dockerOk(["exec", name, "readlink", `/proc/1/ns/${kind}`]);

  for (const [flag, name] of [
    ["--pid", "pid"],
    ["--ipc", "ipc"],
    ["--uts", "uts"],
    ["--cgroupns", "cgroup"],
    ["--network", "net"],
    ["--userns", "user"],
  ] as const)
    test(`${flag} host is the host's`, async () => {
      assert.equal(await namespace([flag, "host"], name), await ofHost(name));
    });

  test("--cgroupns private is the container's own", async () => {
    assert.notEqual(await namespace(["--cgroupns", "private"], "cgroup"), await ofHost("cgroup"));
    assert.match(await inside(["--cgroupns", "private"], "cat", "/proc/self/cgroup"), /:\/$/m);
    if (cgroupV2) return;
    const result = await run(["--cgroupns", "private", "--privileged"], "true");
    assert.equal(result.code, 125);
    assert.match(
      result.stderr,
      /privileged mode is incompatible with private cgroup namespaces on cgroup v1 host/,
    );
  });

  test("--pid container: shares processes, also with a container that was renamed", async () => {
    const { daemon } = suite;
    await sleeper("owner");
    await daemon.dockerOk(["create", "--name", "joiner", "--pid", "container:owner", busybox, "ps"]);
    await daemon.dockerOk(["rename", "owner", "landlord"]);
    assert.match(await daemon.dockerOk(["start", "-a", "joiner"]), /^\s*1 root .*sleep 600$/m);
    assert.equal(
      await namespace(["--pid", "container:landlord"], "pid"),
      await ofContainer("landlord", "pid"),
    );
    // An init would not be the one who reaps.
    assert.doesNotMatch(await inside(["--init", "--pid", "container:landlord"], "ps"), /docker-init/);
  });

  test("--pid container: of one that is stopped or not there is refused before anything is made", async () => {
    const { daemon } = suite;
    const id = await daemon.dockerOk(["create", "--name", "owner", busybox, "true"]);
    const stopped = await run(["--pid", "container:owner"], "true");
    assert.equal(stopped.code, 125);
    assert.match(stopped.stderr, new RegExp(`Container ${id} is not running`, "i"));
    const missing = await run(["--pid", "container:nobody"], "true");
    assert.equal(missing.code, 125);
    assert.match(missing.stderr, /No such container: nobody/);
  });

  test("--ipc shareable and container: share memory and its namespace", async () => {
    const { daemon } = suite;
    await sleeper("owner", "--ipc", "shareable", "--shm-size", "1m");
    await daemon.dockerOk(["exec", "owner", "sh", "-c", "echo hello > /dev/shm/word"]);
    assert.equal(await inside(["--ipc", "container:owner"], "cat", "/dev/shm/word"), "hello");
    assert.equal(await namespace(["--ipc", "container:owner"], "ipc"), await ofContainer("owner", "ipc"));
    const size = await inside(
      ["--ipc", "container:owner"],
      "sh",
      "-c",
      "df -k /dev/shm | awk 'END{print $2}'",
    );
    assert.equal(size, "1024");
  });

  test("--ipc private does not share, none has no /dev/shm", async () => {
    const id = await sleeper("owner", "--ipc", "private");
    const result = await run(["--ipc", "container:owner"], "true");
    assert.equal(result.code, 125);
    assert.match(
      result.stderr,
      new RegExp(
        `container ${id}: non-shareable IPC \\(hint: use IpcMode:shareable for the donor container\\)`,
      ),
    );
    assert.doesNotMatch(await inside(["--ipc", "none"], "cat", "/proc/self/mountinfo"), /\/dev\/shm/);
  });

  const wrong: [string[], RegExp][] = [
    [["--ipc", "strange"], /invalid IPC mode: strange/],
    [["--ipc", "container:"], /invalid IPC mode: container:/],
    [["--pid", "strange"], /--pid: invalid PID mode/],
    [["--uts", "strange"], /--uts: invalid UTS mode/],
    [["--userns", "strange"], /--userns: invalid USER mode/],
    [["--cgroupns", "strange"], /--cgroupns: invalid CGROUP mode/],
    [["--uts", "host", "--hostname", "a"], /conflicting options: hostname and the UTS mode/],
  ];
  for (const [flags, message] of wrong)
    test(`${flags.join(" ")} is refused`, async () => {
      const result = await run(flags, "true");
      assert.equal(result.code, 125);
      assert.match(result.stderr, message);
      assert.equal(await suite.daemon.dockerOk(["ps", "-aq"]), "");
    });

  test("--init is pid 1, passes signals on and reaps", async () => {
    assert.equal(await inside(["--init"], "cat", "/proc/1/comm"), "docker-init");
    const { daemon } = suite;
    const script = "trap 'exit 7' TERM; echo ready; (true &); while :; do sleep 0.1; done";
    await daemon.dockerOk(["run", "-d", "--init", "--name", "reaped", busybox, "sh", "-c", script]);
    // Before that nobody has asked for the signal, and the kernel keeps it from a pid 1.
    await eventually(async () => (await daemon.dockerOk(["logs", "reaped"])) === "ready", {
      timeoutMs: 60_000,
      what: "the program",
    });
    await daemon.dockerOk(["stop", "reaped"]);
    assert.equal(await daemon.dockerOk(["inspect", "-f", "{{.State.ExitCode}}", "reaped"]), "7");
  });
});

describe("rights", () => {
  const suite = useDaemon();
  const run = (flags: string[], ...command: string[]) =>
    suite.daemon.docker(["run", "--rm", ...flags, busybox, ...command]);
  const inside = (flags: string[], ...command: string[]): Promise<string> =>
    suite.daemon.dockerOk(["run", "--rm", ...flags, busybox, ...command]);
  const effective = async (...flags: string[]): Promise<bigint> =>
    mask(await inside(flags, ...status), "CapEff");
  const standard = 0xa80425fbn;

  const spellings: [string[], bigint][] = [
    [["--cap-add", "NET_ADMIN"], standard | capability.NET_ADMIN],
    [["--cap-add", "net_admin"], standard | capability.NET_ADMIN],
    [["--cap-add", "CAP_NET_ADMIN"], standard | capability.NET_ADMIN],
    [["--cap-add", "cap_net_admin", "--cap-add", "NET_ADMIN"], standard | capability.NET_ADMIN],
    [["--cap-add", "ALL"], hostBounding],
    [["--cap-add", "all", "--cap-drop", "SYS_ADMIN"], hostBounding & ~capability.SYS_ADMIN],
    [["--cap-drop", "NET_RAW"], standard & ~capability.NET_RAW],
    [["--cap-drop", "ALL"], 0n],
    [["--cap-drop", "ALL", "--cap-add", "CHOWN"], capability.CHOWN],
    [["--privileged"], hostBounding],
    [["--privileged", "--cap-drop", "ALL"], hostBounding],
  ];
  for (const [flags, expected] of spellings)
    test(flags.join(" "), async () => assert.equal(await effective(...flags), expected));

  test("a capability that nobody knows is refused", async () => {
    for (const [flag, field] of [
      ["--cap-add", "CapAdd"],
      ["--cap-drop", "CapDrop"],
    ] as const) {
      const result = await run([flag, "flying"], "true");
      assert.equal(result.code, 125);
      assert.match(result.stderr, new RegExp(`invalid ${field}: unknown capability: "CAP_FLYING"`));
    }
  });

  const resource = 1n << 24n;
  const lacks = (hostBounding & resource) === 0n;
  test(
    "a capability that the host lacks is refused, unless all that there is was asked for",
    { skip: !lacks },
    async () => {
      const refused = await run(["--cap-add", "SYS_RESOURCE"], "true");
      assert.equal(refused.code, 125);
      assert.match(
        refused.stderr,
        /invalid CapAdd: capability not supported by your kernel or not available in the current environment: "CAP_SYS_RESOURCE"/,
      );
      assert.equal(await effective("--privileged", "--cap-add", "SYS_RESOURCE"), hostBounding);
      assert.equal(await effective("--cap-drop", "SYS_RESOURCE"), standard);
      assert.equal(await effective("--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE"), hostBounding);
    },
  );

  test("--privileged: no seccomp, no masks, the host's devices, cgroups that can be written", async () => {
    assert.match(await inside(["--privileged"], ...status), /^Seccomp:\t0$/m);
    const script =
      "test -e /dev/loop-control -o -e /dev/kmsg && echo devices; mkdir /sys/fs/cgroup/pids/x 2>/dev/null || mkdir /sys/fs/cgroup/x; echo $?; rmdir /sys/fs/cgroup/pids/x /sys/fs/cgroup/x 2>/dev/null; cat /proc/self/mountinfo";
    const output = await inside(["--privileged"], "sh", "-c", script);
    assert.match(output, /^devices\n0\n/);
    assert.doesNotMatch(output, / \/proc\/(kcore|sys) /);
  });

  test("--security-opt no-new-privileges", async () => {
    for (const option of ["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"])
      assert.match(await inside(["--security-opt", option], ...status), /^NoNewPrivs:\t1$/m);
    assert.match(await inside(["--security-opt", "no-new-privileges=false"], ...status), /^NoNewPrivs:\t0$/m);
  });

  test("--security-opt seccomp: unconfined, builtin and a file", async () => {
    assert.match(await inside(["--security-opt", "seccomp=unconfined"], ...status), /^Seccomp:\t0$/m);
    assert.match(await inside(["--security-opt", "seccomp=builtin"], ...status), /^Seccomp:\t2$/m);
    assert.match(
      await inside(["--privileged", "--security-opt", "seccomp=builtin"], ...status),
      /^Seccomp:\t2$/m,
    );
    const profile = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO" }],
    };
    const path = await suite.daemon.file("seccomp.json", JSON.stringify(profile));
    const result = await run(["--security-opt", `seccomp=${path}`], "mkdir", "/a");
    assert.equal(result.code, 1);
    assert.match(result.stderr, /Operation not permitted/);
  });

  test("--security-opt systempaths=unconfined hides and protects nothing", async () => {
    const mounts = await inside(["--security-opt", "systempaths=unconfined"], "cat", "/proc/self/mountinfo");
    assert.doesNotMatch(mounts, / \/proc\/[a-z]/);
  });

  test("--security-opt apparmor and label: the host's, or without effect", async () => {
    const hasAppArmor = existsSync("/sys/kernel/security/apparmor/profiles");
    for (const option of ["apparmor=unconfined", "label=disable", "label:disable", "label=type:container_t"])
      assert.equal((await run(["--security-opt", option], "true")).stderr, "");
    if (!hasAppArmor) {
      const result = await run(["--security-opt", "apparmor=docker-default"], "true");
      assert.equal(result.code, 0);
      assert.match(result.stderr, /AppArmor is not enabled on this host/);
    }
  });

  const wrongSecurity: [string, RegExp][] = [
    ["nonsense", /[Ii]nvalid --security-opt: "nonsense"/],
    ["a=b", /invalid --security-opt 2: "a=b"/],
    ["no-new-privileges=perhaps", /invalid --security-opt 2: "no-new-privileges=perhaps"/],
    ["seccomp=/no/such/file", /opening seccomp profile \(\/no\/such\/file\) failed/],
  ];
  for (const [option, message] of wrongSecurity)
    test(`--security-opt ${option} is refused`, async () => {
      const result = await run(["--security-opt", option], "true");
      assert.equal(result.code, 125);
      assert.match(result.stderr, message);
    });

  test("--device: a node, another name, permissions, a directory", async () => {
    const { daemon } = suite;
    // A host with nodes of its own: the kernel's null under other names.
    const nodes = join(daemon.root, "nodes");
    await mkdir(nodes);
    for (const name of ["one", "two"]) await daemon.host.run(["mknod", `${nodes}/${name}`, "c", "1", "11"]);
    const list = (...flags: string[]): Promise<string> =>
      inside(
        flags,
        "sh",
        "-c",
        "cd /dev; ls -l one two d/one d/two 2>/dev/null | awk '{print $1, $5 $6, $NF}'",
      );
    assert.equal(await list("--device", `${nodes}/one:/dev/one`), "crw-r--r-- 1,11 one");
    assert.equal(await list("--device", `${nodes}:/dev/d`), "crw-r--r-- 1,11 d/one\ncrw-r--r-- 1,11 d/two");
    const reading = await run(["--device", `${nodes}/one:/dev/one:m`], "sh", "-c", "dd if=/dev/one count=0");
    assert.match(reading.stderr, /Operation not permitted/);
  });

  test("--device-cgroup-rule allows what can be made", async () => {
    const script = "mknod /tmp/k c 1 200 && dd if=/tmp/k count=0 2>&1; true";
    const refused = await run([], "sh", "-c", script);
    assert.match(refused.stdout + refused.stderr, /Operation not permitted/);
    assert.match(
      await inside(["--device-cgroup-rule", "c 1:* rmw"], "sh", "-c", script),
      /No such device or address/,
    );
  });

  const wrongDevices: [string[], RegExp][] = [
    [
      ["--device", "/dev/nothing-here"],
      /error gathering device information while adding custom device "\/dev\/nothing-here": no such file or directory/,
    ],
    [
      ["--device", "/etc/passwd"],
      /error gathering device information while adding custom device "\/etc\/passwd": not a device node/,
    ],
    [["--device", "/dev/null:/dev/x:q"], /bad mode specified: q/],
    [["--device-cgroup-rule", "x 1:3 r"], /invalid device cgroup format 'x 1:3 r'/],
    [["--gpus", "all"], /could not select device driver "" with capabilities: \[\[gpu\]\]/],
    [
      ["--device", "no.example/class=thing"],
      /CDI device injection failed: unresolvable CDI devices no\.example\/class=thing/,
    ],
  ];
  for (const [flags, message] of wrongDevices)
    test(`${flags.join(" ")} is refused`, async () => {
      const result = await run(flags, "true");
      // Docker's client says 127 to each message with "no such file or directory".
      assert.ok(result.code === 125 || result.code === 127);
      assert.match(result.stderr, message);
    });

  test("--sysctl of namespaces of the container's own", async () => {
    assert.equal(
      await inside(["--sysctl", "net.ipv4.ip_forward=1"], "cat", "/proc/sys/net/ipv4/ip_forward"),
      "1",
    );
    assert.equal(await inside(["--sysctl", "kernel.msgmax=4096"], "cat", "/proc/sys/kernel/msgmax"), "4096");
    assert.equal(
      await inside(
        ["--sysctl", "net.ipv4.ip_unprivileged_port_start=1024"],
        "cat",
        "/proc/sys/net/ipv4/ip_unprivileged_port_start",
      ),
      "1024",
    );
    for (const [flags, message] of [
      [["--sysctl", "kernel.pid_max=1"], /sysctl 'kernel.pid_max=1' is not allowed/],
      [["--network", "host", "--sysctl", "net.ipv4.ip_forward=1"], /not allowed in host network namespace/],
      [["--ipc", "host", "--sysctl", "kernel.msgmax=1"], /not allowed in the hosts ipc namespace/],
    ] as const) {
      const result = await run([...flags], "true");
      assert.equal(result.code, 125);
      assert.match(result.stderr, message);
    }
  });

  test("--group-add by name and number", async () => {
    assert.match(await inside(["--group-add", "1234", "--group-add", "tty"], "id", "-G"), /^0 5 (10 )?1234$/);
    const result = await run(["--group-add", "strangers"], "true");
    assert.equal(result.code, 125);
    assert.match(result.stderr, /Unable to find group strangers: no matching entries in group file/);
  });

  test("--runtime of another name is refused, the daemon's own are served", async () => {
    const name = await suite.daemon.dockerOk(["info", "-f", "{{.DefaultRuntime}}"]);
    assert.equal(await inside(["--runtime", name], "echo", "x"), "x");
    const result = await run(["--runtime", "strange"], "true");
    assert.equal(result.code, 125);
    assert.match(result.stderr, /unknown or invalid runtime name: strange/);
  });

  test("--read-only with --tmpfs", async () => {
    const script = "touch /run/a && ! touch /b 2>/dev/null && grep ' /run ' /proc/mounts";
    const mounts = await inside(["--read-only", "--tmpfs", "/run:size=64k,mode=700"], "sh", "-c", script);
    assert.match(mounts, /^tmpfs \/run tmpfs rw,nosuid,nodev,noexec,.*size=64k,mode=700/);
  });
});
