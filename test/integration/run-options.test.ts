/** Flags of `docker run`, judged by what the kernel says inside the container. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

const cgroupV2 = existsSync("/sys/fs/cgroup/cgroup.controllers");

describe("run options", () => {
  const suite = useDaemon();

  /** Output of `docker run --rm FLAGS busybox COMMAND`. */
  const inside = (flags: string[], ...command: string[]): Promise<string> =>
    suite.daemon.dockerOk(["run", "--rm", ...flags, busybox, ...command]);
  const shell = (flags: string[], script: string): Promise<string> => inside(flags, "sh", "-c", script);

  test("-e sets, copies and leaves out", async () => {
    const result = await suite.daemon.docker(
      [
        "run",
        "--rm",
        "-e",
        "A=1",
        "-e",
        "B=two words",
        "-e",
        "COPIED",
        "-e",
        "UNSET",
        "-e",
        "E=",
        busybox,
        "env",
      ],
      { env: { COPIED: "from-client", UNSET: undefined } },
    );
    const lines = result.stdout.split("\n");
    for (const line of ["A=1", "B=two words", "COPIED=from-client", "E=", "HOME=/root"])
      assert.ok(lines.includes(line), `${line} in ${result.stdout}`);
    assert.doesNotMatch(result.stdout, /UNSET/);
    assert.match(
      result.stdout,
      /^PATH=\/usr\/local\/sbin:\/usr\/local\/bin:\/usr\/sbin:\/usr\/bin:\/sbin:\/bin$/m,
    );
    assert.match(result.stdout, /^HOSTNAME=[0-9a-f]{12}$/m);
  });

  test("--env-file reads lines, skips comments; -e wins", async () => {
    const path = await suite.daemon.file("env", "# comment\nFILE=a b\nBOTH=file\n\n");
    const env = await inside(["--env-file", path, "-e", "BOTH=flag"], "env");
    assert.match(env, /^FILE=a b$/m);
    assert.match(env, /^BOTH=flag$/m);
  });

  test("-w sets the working directory and makes it", async () => {
    assert.equal(await inside(["-w", "/made/for/this"], "pwd"), "/made/for/this");
    assert.equal(await inside([], "pwd"), "/");
  });

  const users: [string, string][] = [
    ["root", "uid=0(root) gid=0(root)"],
    ["daemon", "uid=1(daemon) gid=1(daemon)"],
    ["1", "uid=1(daemon) gid=1(daemon)"],
    ["1234", "uid=1234 gid=0(root)"],
    ["1234:5678", "uid=1234 gid=5678"],
    ["daemon:nogroup", "uid=1(daemon) gid=65534(nogroup)"],
    ["0:daemon", "uid=0(root) gid=1(daemon)"],
  ];
  for (const [user, expected] of users) {
    test(`-u ${user}`, async () => {
      assert.ok((await inside(["-u", user], "id")).startsWith(expected), await inside(["-u", user], "id"));
    });
  }

  test("-u of an unknown name is refused, and nothing is left running", async () => {
    const result = await suite.daemon.docker(["run", "--rm", "-u", "stranger", busybox, "id"]);
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, /unable to find user stranger: no matching entries in passwd file/);
  });

  test("a user that is not root has no capabilities in effect", async () => {
    const status = await inside(["-u", "daemon"], "cat", "/proc/self/status");
    assert.match(status, /^CapEff:\t0000000000000000$/m);
    assert.match(status, /^CapBnd:\t00000000a80425fb$/m);
  });

  test("root has Docker's default capabilities, seccomp and no new namespace of users", async () => {
    const status = await inside([], "cat", "/proc/self/status");
    assert.match(status, /^CapEff:\t00000000a80425fb$/m);
    assert.match(status, /^CapPrm:\t00000000a80425fb$/m);
    assert.match(status, /^CapBnd:\t00000000a80425fb$/m);
    assert.match(status, /^CapAmb:\t0000000000000000$/m);
    assert.match(status, /^Seccomp:\t2$/m);
    assert.match(await inside([], "cat", "/proc/self/uid_map"), /^\s*0\s+0\s+4294967295$/);
  });

  test("the seccomp profile refuses what Docker refuses", async () => {
    const result = await suite.daemon.docker(["run", "--rm", busybox, "unshare", "-U", "true"]);
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, /not permitted/i);
  });

  test("each namespace is the container's own", async () => {
    const script = "for n in pid mnt uts ipc net; do readlink /proc/self/ns/$n; done";
    const own = (await shell([], script)).split("\n");
    for (const [index, name] of ["pid", "mnt", "uts", "ipc", "net"].entries()) {
      const host = (await suite.daemon.host.run(["readlink", `/proc/self/ns/${name}`])).stdout.trim();
      assert.match(own[index] ?? "", new RegExp(`^${name}:`));
      assert.notEqual(own[index], host);
    }
  });

  test("the program is pid 1 and sees only its own processes", async () => {
    // One after the other: whether a pipe's second process is there already is a matter of luck.
    assert.equal(await shell([], "echo $$; ls /proc >/list; grep -c '^[0-9]' /list"), "1\n2");
  });

  test("--entrypoint and the command", async () => {
    assert.equal(await inside(["--entrypoint", "echo"], "one", "two"), "one two");
  });

  test("--hostname is the uts name, the environment and /etc/hosts", async () => {
    const output = await shell(
      ["--hostname", "castle"],
      "hostname; echo $HOSTNAME; cat /etc/hostname; cat /etc/hosts",
    );
    assert.match(output, /^castle\ncastle\ncastle\n/);
    assert.match(output, /^10\.\d+\.\d+\.\d+\tcastle$/m);
    assert.match(output, /^127\.0\.0\.1\tlocalhost$/m);
  });

  test("--label, --name and --cidfile", async () => {
    const { daemon } = suite;
    const cidfile = join(daemon.root, "cid");
    const id = await daemon.dockerOk([
      "run",
      "-d",
      "--name",
      "named",
      "--label",
      "a=b",
      "--label",
      "empty",
      "--cidfile",
      cidfile,
      busybox,
      "true",
    ]);
    assert.equal(await readFile(cidfile, "utf8"), id);
    assert.deepEqual(
      JSON.parse(await daemon.dockerOk(["inspect", "-f", "{{json .Config.Labels}}", "named"])),
      {
        a: "b",
        empty: "",
      },
    );
    const again = await daemon.docker(["run", "-d", "--cidfile", cidfile, busybox, "true"]);
    assert.equal(again.code, 125);
    assert.match(again.stderr, /container ID file found/i);
  });

  test("--read-only: the root cannot be written, /dev/shm and binds can", async () => {
    const { daemon } = suite;
    const directory = join(daemon.root, "bind");
    await mkdir(directory, { recursive: true });
    const result = await daemon.docker([
      "run",
      "--rm",
      "--read-only",
      "-v",
      `${directory}:/bind`,
      busybox,
      "sh",
      "-c",
      "touch /dev/shm/a /bind/a && touch /a",
    ]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /\/a: Read-only file system/);
    assert.ok(existsSync(join(directory, "a")));
  });

  test("-m is the memory limit, and going over it kills", async () => {
    const { daemon } = suite;
    const limit = 32 * 1024 * 1024;
    const file = cgroupV2 ? "/sys/fs/cgroup/memory.max" : "/sys/fs/cgroup/memory/memory.limit_in_bytes";
    assert.equal(await inside(["-m", "32m"], "cat", file), String(limit));
    // tail keeps the one endless line of zeroes in memory
    const result = await daemon.docker(
      ["run", "--name", "eater", "-m", "32m", busybox, "tail", "/dev/zero"],
      {
        timeoutMs: 60_000,
      },
    );
    assert.equal(result.code, 137);
    assert.equal(await daemon.dockerOk(["inspect", "-f", "{{.State.OOMKilled}}", "eater"]), "true");
  });

  test("--cpus is a quota", async () => {
    if (cgroupV2)
      assert.equal(await inside(["--cpus", "0.5"], "cat", "/sys/fs/cgroup/cpu.max"), "50000 100000");
    else {
      const files = ["/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"];
      assert.equal(await inside(["--cpus", "0.5"], "cat", ...files), "50000\n100000");
    }
  });

  test("--pids-limit stops a fork storm", async () => {
    const file = cgroupV2 ? "/sys/fs/cgroup/pids.max" : "/sys/fs/cgroup/pids/pids.max";
    assert.equal(await inside(["--pids-limit", "7"], "cat", file), "7");
    const script = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 3 & done; wait";
    const result = await suite.daemon.docker([
      "run",
      "--rm",
      "--pids-limit",
      "7",
      busybox,
      "sh",
      "-c",
      script,
    ]);
    assert.match(result.stderr, /can't fork|Resource temporarily unavailable/);
  });

  test("without limits there are none", async () => {
    const file = cgroupV2 ? "/sys/fs/cgroup/pids.max" : "/sys/fs/cgroup/pids/pids.max";
    assert.equal(await inside([], "cat", file), "max");
  });

  test("-v binds read-write and read-only, files and directories", async () => {
    const { daemon } = suite;
    const directory = join(daemon.root, "shared");
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, "from-host"), "host\n");
    assert.equal(
      await shell(["-v", `${directory}:/in`], "cat /in/from-host; echo box > /in/from-box"),
      "host",
    );
    assert.equal(await readFile(join(directory, "from-box"), "utf8"), "box\n");
    assert.equal(await shell(["-v", `${directory}/from-host:/one`], "cat /one"), "host");
    const refused = await daemon.docker([
      "run",
      "--rm",
      "-v",
      `${directory}:/in:ro`,
      busybox,
      "touch",
      "/in/x",
    ]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /Read-only file system/);
  });

  test("-v makes a source that is missing", async () => {
    const { daemon } = suite;
    const missing = join(daemon.root, "made", "by-v");
    await inside(["-v", `${missing}:/in`], "touch", "/in/file");
    assert.ok(existsSync(join(missing, "file")));
  });

  test("--mount type=bind refuses a source that is missing", async () => {
    const { daemon } = suite;
    const missing = join(daemon.root, "not-there");
    const result = await daemon.docker([
      "run",
      "--rm",
      "--mount",
      `type=bind,source=${missing},target=/in`,
      busybox,
      "true",
    ]);
    assert.equal(result.code, 125);
    assert.match(result.stderr, /bind source path does not exist/);
  });

  test("masked and read-only paths", async () => {
    const output = await shell(
      [],
      "cat /proc/kcore | wc -c; ls /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/domainname; echo b > /proc/sysrq-trigger; touch /sys/x; true",
    );
    assert.match(output, /^0\n0$/);
    const mounts = await inside([], "cat", "/proc/self/mountinfo");
    // A kernel may be built without one of them.
    for (const path of ["bus", "fs", "irq", "sys", "sysrq-trigger"].filter((name) =>
      existsSync(`/proc/${name}`),
    ))
      assert.match(mounts, new RegExp(` /${path} /proc/${path} ro,`), path);
  });

  test("the default devices are there and no others can be made", async () => {
    const listed = await shell(
      [],
      "cd /dev; for d in null zero full random urandom tty ptmx; do test -c $d && echo $d; done",
    );
    assert.equal(listed, "null\nzero\nfull\nrandom\nurandom\ntty\nptmx");
    const script = "mknod /tmp/disk b 8 0 && cat /tmp/disk";
    const result = await suite.daemon.docker(["run", "--rm", busybox, "sh", "-c", script]);
    assert.match(result.stderr, /Operation not permitted/);
  });

  test("the root file system is an overlay, and one container's writes are not another's", async () => {
    const { daemon } = suite;
    assert.match(await inside([], "cat", "/proc/self/mounts"), /^overlay \/ overlay /m);
    await daemon.dockerOk(["run", "--name", "writer", busybox, "sh", "-c", "echo mine > /file"]);
    assert.equal(await shell([], "test -e /file || echo clean"), "clean");
    await daemon.dockerOk(["start", "writer"]);
  });

  test("/.dockerenv is there; umask and shm are Docker's", async () => {
    const output = await shell(
      [],
      "test -f /.dockerenv && echo env; umask; df -k /dev/shm | tail -1 | awk '{print $2}'",
    );
    assert.equal(output, "env\n0022\n65536");
  });

  test("an image whose /etc is a link that leads in a circle has a directory there, as with Docker", async () => {
    const { daemon } = suite;
    const make = "mkdir /r && cp -a /bin /r && cp -a /lib* /r; ln -s etc /r/etc && tar -C /r -cf /root.tar .";
    await daemon.dockerOk(["run", "--name", "maker", busybox, "sh", "-c", make]);
    const directory = await mkdtemp(join(tmpdir(), "gantry-circle-test-"));
    try {
      await daemon.dockerOk(["cp", "maker:/root.tar", join(directory, "root.tar")]);
      await daemon.dockerOk(["import", join(directory, "root.tar"), "circle"]);
      const seen = await daemon.dockerOk([
        "run",
        "--rm",
        "circle",
        "/bin/sh",
        "-c",
        "ls /etc; readlink /etc/mtab",
      ]);
      assert.equal(seen, "hostname\nhosts\nmtab\nresolv.conf\n/proc/mounts");
    } finally {
      await rm(directory, { recursive: true, force: true });
      await daemon.docker(["rmi", "-f", "circle"]);
    }
  });
});
