/**
 * Containers that mean harm: the known ways out of containers, each set up as its discoverers describe it, against this
 * engine. docs/security.md has the table; what is tested elsewhere is named there too.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { beforeEach, describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { eventually, mustRun, type RunResult } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

const marker = "a secret of the host";

describe("ways out of containers", { skip: process.env["GANTRY_TEST_ENGINE"] === "docker" }, () => {
  const suite = useDaemon({ leaves: ["data-root"] });
  /** A directory of the host that no container was given. */
  let host = "";
  beforeEach(async () => {
    host = await mkdtemp(join(suite.daemon.root, "host-"));
    await writeFile(join(host, "marker"), marker);
  });

  const docker = (...args: string[]): Promise<RunResult> => suite.daemon.docker(args, { timeoutMs: 90_000 });
  const ok = (...args: string[]): Promise<string> => suite.daemon.dockerOk(args, { timeoutMs: 90_000 });
  /** Mount points that the daemon's host has below the daemon's directories. */
  const mountsOfHost = async (): Promise<string> =>
    (await suite.daemon.host.run(["cat", "/proc/self/mountinfo"])).stdout;

  test("CVE-2019-14271: cp loads no library and no nsswitch.conf of the container", async () => {
    const { daemon } = suite;
    await ok("run", "-d", "--name", "box", busybox, "sleep", "600");
    // Whoever opened one of these to read it would wait for ever: nobody writes to them.
    const libraries = [
      "/lib/x86_64-linux-gnu",
      "/lib64",
      "/usr/lib",
      "/usr/lib/x86_64-linux-gnu",
      "/lib",
    ].flatMap((place) => ["files", "compat", "harm"].map((name) => `${place}/libnss_${name}.so.2`));
    await ok(
      "exec",
      "box",
      "sh",
      "-c",
      `echo 'passwd: harm files' >/etc/nsswitch.conf; echo 'harm:x:4321:4321::/:/bin/sh' >>/etc/passwd
       for f in ${libraries.join(" ")}; do mkdir -p \${f%/*}; mkfifo $f; done`,
    );
    const file = join(host, "marker");
    await ok("cp", file, "box:/tmp/plain");
    await ok("cp", "-a", file, "box:/tmp/archive");
    await ok("cp", "box:/etc/passwd", join(host, "passwd"));
    await ok("cp", "box:/usr", join(host, "usr"));
    assert.equal(await ok("exec", "-u", "harm", "box", "id", "-u"), "4321");
    const maps = readFileSync(`/proc/${daemon.pid}/maps`, "utf8");
    assert.doesNotMatch(maps, /libnss_harm|overlay|\/rootfs\//);
  });

  test("CVE-2024-21626: no descriptor of the host reaches a program, and none its working directory", async () => {
    const script = "for p in 1 self; do for f in /proc/$p/fd/*; do echo $f $(readlink $f); done; done";
    const look = async (...command: string[]): Promise<string[]> =>
      (await ok(...command, "sh", "-c", script)).split("\n");
    await ok("run", "-d", "--name", "box", busybox, "sleep", "600");
    for (const list of [await look("run", "--rm", busybox), await look("exec", "box")]) {
      assert.ok(list.length >= 6, list.join("\n"));
      for (const line of list) {
        const [name = "", target = ""] = line.split(" ");
        // The shell's own list of the directory is gone when it is read.
        assert.match(
          target,
          /^(pipe:\[\d+\]|socket:\[\d+\]|\/dev\/null|\/dev\/pts\/\d+|)$/,
          `${name} ${target}`,
        );
      }
    }
    const up = `cat ../../../../../../../../..${host}/marker; readlink /proc/self/cwd`;
    for (let fd = 3; fd < 24; fd += 1) {
      const place = `/proc/self/fd/${fd}`;
      const exec = await docker("exec", "-w", place, "box", "sh", "-c", up);
      assert.doesNotMatch(exec.stdout, new RegExp(marker), `exec in ${place}`);
      if (fd > 12) continue;
      const run = await docker("run", "--rm", "-w", place, busybox, "sh", "-c", up);
      assert.doesNotMatch(run.stdout, new RegExp(marker), `run in ${place}`);
    }
  });

  test("CVE-2024-21626: WORKDIR of an image and of a build step", async () => {
    for (const fd of [3, 5, 7, 8, 9]) {
      const result = await suite.daemon.docker(["build", "--no-cache", "-"], {
        input: `FROM ${busybox}\nWORKDIR /proc/self/fd/${fd}\nRUN cat ../../../../../../../../..${host}/marker\n`,
        env: { DOCKER_BUILDKIT: "0" },
        timeoutMs: 90_000,
      });
      assert.notEqual(result.code, 0);
      assert.doesNotMatch(result.stdout, new RegExp(`^${marker}`, "m"));
    }
  });

  test("CVE-2019-5736: the runtime's program cannot be written to from inside", async () => {
    const { daemon } = suite;
    const programs = ["/usr/bin/crun", "/usr/sbin/runc", "/usr/bin/conmon"].filter((path) =>
      existsSync(path),
    );
    const digests = (): string[] =>
      programs.map((path) => createHash("sha256").update(readFileSync(path)).digest("hex"));
    const before = digests();
    await ok("run", "-d", "--name", "box", busybox, "sleep", "600");
    // The runtime becomes the container's program: `#!/proc/self/exe`. Its loader is there, its libraries are pipes at
    // which it waits, so that the attack has all the time it needs.
    const { stdout: needs } = await mustRun(["ldd", programs[0] ?? ""]);
    const loader = /^\s*(\/\S+) \(/m.exec(needs)?.[1] ?? "";
    const libraries = [...needs.matchAll(/=> (\/\S+)/g)].map((match) => match[1] ?? "");
    assert.ok(loader !== "" && libraries.length > 0, needs);
    await ok("exec", "box", "mkdir", "-p", dirname(loader), ...libraries.map((path) => dirname(path)));
    await ok("cp", "-L", loader, `box:${loader}`);
    await ok("exec", "box", "mkfifo", ...libraries);
    await ok("exec", "box", "sh", "-c", "printf '#!/proc/self/exe\\n' >/bin/harm; chmod +x /bin/harm");
    await ok("exec", "-d", "box", "/bin/harm");
    const attack = `
      for p in /proc/[0-9]*; do
        e=$(readlink $p/exe) || continue
        case "$e" in *busybox*|*/sh|*/sleep) continue;; esac
        echo "seen $e"
        exec 9<$p/exe || exit 0
        printf harm >/proc/self/fd/9 && echo written
        printf harm >$p/exe && echo written
        kill -9 \${p#/proc/}
        for i in 1 2 3 4 5 6 7 8; do
          printf harm >/proc/self/fd/9 && echo written
          truncate -s 0 /proc/self/fd/9 && echo written
          usleep 50000
        done
      done; true`;
    let said = "";
    await eventually(
      async () => {
        said = (await docker("exec", "box", "sh", "-c", attack)).stdout;
        return /^seen /m.test(said);
      },
      { timeoutMs: 120_000, intervalMs: 200, what: "the runtime to be seen from inside" },
    );
    assert.match(said, /^seen .*(crun|runc)/m);
    assert.doesNotMatch(said, /written/);
    assert.deepEqual(digests(), before);
    await daemon.dockerOk(["rm", "-f", "box"]);
    assert.equal(await ok("run", "--rm", busybox, "echo", "whole"), "whole");
  });

  test("CVE-2021-30465: a mount point that is swapped for a link stays inside the container", async () => {
    await ok("volume", "create", "shared");
    try {
      await ok(
        "run",
        "-d",
        "--name",
        "swapper",
        "-v",
        "shared:/shared",
        busybox,
        "sh",
        "-c",
        `mkdir -p /shared/a/b; ln -s ${"../".repeat(12)} /shared/up; ln -s / /shared/root
         while :; do
           for way in up root; do
             mv /shared/a /shared/kept; mv /shared/$way /shared/a; mv /shared/a /shared/$way; mv /shared/kept /shared/a
           done
         done`,
      );
      const before = await mountsOfHost();
      for (let round = 0; round < 8; round += 1) {
        const victim = await docker(
          "run",
          "--rm",
          "-v",
          "shared:/shared",
          "-v",
          `${host}/given:/shared/a/b${host}`,
          "--tmpfs",
          "/shared/a/b/c",
          busybox,
          "sh",
          "-c",
          `cat ${host}/marker /shared/a${host}/marker /shared/up${host}/marker /shared/root${host}/marker; true`,
        );
        assert.doesNotMatch(victim.stdout, new RegExp(marker));
      }
      assert.deepEqual(
        readdirSync(host).filter((name) => name !== "given"),
        ["marker"],
      );
      const strangers = (await mountsOfHost())
        .split("\n")
        .filter((line) => !before.includes(line.split(" ")[4] ?? "") && !line.includes(suite.daemon.root));
      assert.deepEqual(strangers, []);
    } finally {
      await suite.daemon.removeContainers();
      await ok("volume", "rm", "shared");
    }
  });

  test("CVE-2025-31133 and 52565: a /dev of the attacker's is not what masked paths are covered with", async () => {
    await ok("volume", "create", "dev");
    try {
      await ok(
        "run",
        "--rm",
        "-v",
        "dev:/d",
        busybox,
        "sh",
        "-c",
        "cd /d; ln -s /proc/sys/kernel/core_pattern null; ln -s /proc/sysrq-trigger console; mkdir pts shm mqueue",
      );
      for (const runtime of ["crun", "runc"])
        for (const tty of [[], ["-t"]]) {
          const result = await docker(
            "run",
            "--rm",
            "--runtime",
            runtime,
            ...tty,
            "-v",
            "dev:/dev",
            busybox,
            "true",
          );
          assert.notEqual(result.code, 0, runtime);
          assert.match(result.stderr, /masked with the \/dev\/null in it|unknown or invalid runtime/);
        }
      const masked = await ok(
        "run",
        "--rm",
        busybox,
        "sh",
        "-c",
        "cat /proc/keys /proc/timer_list; ls /proc/acpi /sys/firmware; (: >>/proc/sysrq-trigger) && echo trigger; (: >>/proc/sys/kernel/core_pattern) && echo pattern; true",
      );
      assert.equal(masked.replaceAll(/^\/(proc|sys)\/.*:$|\n/gm, ""), "");
    } finally {
      await suite.daemon.removeContainers();
      await ok("volume", "rm", "dev");
    }
  });

  test("CVE-2025-52881: nothing is mounted over or inside /proc, also not through links", async () => {
    await ok("volume", "create", "fake");
    try {
      await ok("run", "--rm", "-v", "fake:/f", busybox, "ln", "-s", "/proc", "/f/way");
      const ways = [
        ["-v", "fake:/proc"],
        ["-v", "fake:/proc/sys"],
        ["-v", "fake:/proc/self/attr"],
        ["--mount", "type=volume,src=fake,dst=/proc/thread-self"],
        ["-v", "fake:/x", "-v", "fake:/x/way/sys/kernel"],
        ["--tmpfs", "/proc"],
      ];
      for (const flags of ways) {
        const result = await docker("run", "--rm", ...flags, busybox, "true");
        assert.notEqual(result.code, 0, flags.join(" "));
        assert.match(result.stderr, /not of type proc|inside \/proc/, flags.join(" "));
      }
      const built = await suite.daemon.docker(["build", "--no-cache", "-"], {
        input: `FROM ${busybox}\nRUN --mount=type=cache,target=/proc/sys true\n`,
        env: { DOCKER_BUILDKIT: "0" },
        timeoutMs: 90_000,
      });
      assert.notEqual(built.code, 0);
      assert.match(built.stdout + built.stderr, /inside \/proc/);
    } finally {
      await suite.daemon.removeContainers();
      await ok("volume", "rm", "fake");
    }
  });

  test("limits of a guest: no modules, no devices, no clock, no other root, no new mount", async () => {
    const tries = [
      "mount -t tmpfs none /mnt",
      "mount --bind / /mnt",
      "umount /proc",
      "chroot /proc/1/root true && mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk",
      "mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg",
      "date -s @$(date +%s) 2>&1 | grep -q 'not permitted' && false",
      "hostname other",
      "dmesg",
      ": >>/proc/sys/vm/drop_caches",
      ": >>/proc/sysrq-trigger",
      ": >>/sys/kernel/uevent_helper",
      "mkdir /sys/fs/cgroup/pids/x",
      "unshare -U true && unshare -m true",
      "nsenter -t 1 -m -n true && nsenter --mount=/proc/1/ns/mnt mount -t tmpfs none /mnt",
    ];
    const script = tries.map((line, index) => `(${line}) >/dev/null 2>&1 && echo ${index}`).join("\n");
    const did = await ok("run", "--rm", busybox, "sh", "-c", `mkdir -p /mnt\n${script}\ntrue`);
    assert.deepEqual(
      did
        .split("\n")
        .filter((line) => line !== "")
        .map((index) => tries[Number(index)]),
      [],
    );
  });
});
