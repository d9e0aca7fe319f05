/** `gantry daemon --userns-remap`: a container's root is nobody on the host, and sees its files as its own. */
import assert from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { TestDaemon } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

const first = 1_200_000;

/** Ranges for root, which every machine has; the files are the machine's own and are put back. */
async function withRanges(): Promise<() => Promise<void>> {
  const before = await Promise.all(
    ["/etc/subuid", "/etc/subgid"].map((file) => readFile(file, "utf8").catch(() => "")),
  );
  await writeFile("/etc/subuid", `${before[0]}root:${first}:65536\n`);
  await writeFile("/etc/subgid", `${before[1]}root:${first + 65_536}:65536\n`);
  return async () => {
    await writeFile("/etc/subuid", before[0]!);
    await writeFile("/etc/subgid", before[1]!);
  };
}

/** Others may pass through it, as through /run and /var/lib. */
const root = join(tmpdir(), `gantry-test-userns-${process.pid}`);

const restore = await withRanges();

describe("--userns-remap", () => {
  const suite = useDaemon({ root, flags: ["--userns-remap", "root"] });
  after(async () => {
    await restore();
    await rm(root, { recursive: true, force: true });
  });
  const shell = (flags: string[], script: string): Promise<string> =>
    suite.daemon.dockerOk(["run", "--rm", ...flags, busybox, "sh", "-c", script]);

  test("ids inside and outside", async () => {
    const { daemon } = suite;
    assert.match(
      await shell([], "cat /proc/self/uid_map /proc/self/gid_map"),
      /^\s*0\s+1200000\s+65536\n\s*0\s+1265536\s+65536$/,
    );
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sleep", "600"]);
    const pid = await daemon.dockerOk(["inspect", "-f", "{{.State.Pid}}", "box"]);
    assert.match(await readFile(`/proc/${pid}/status`, "utf8"), /^Uid:\t1200000\t.*\nGid:\t1265536\t/m);
    assert.equal(await daemon.dockerOk(["exec", "box", "id", "-u"]), "0");
    assert.equal(await daemon.dockerOk(["exec", "-u", "1", "box", "id", "-u"]), "1");
    assert.equal(await daemon.dockerOk(["diff", "box"]), "");
    assert.match(await daemon.dockerOk(["info", "-f", "{{.SecurityOptions}}"]), /name=userns/);
  });

  test("the image's files, those of the engine and new ones are root's", async () => {
    const script =
      "stat -c '%u:%g %n' / /etc/passwd /etc/hosts /etc/resolv.conf; touch /new; chown 5:7 /new; stat -c '%u:%g' /new; ls -d /.dockerenv; " +
      "stat -c '%u:%g %N' /etc/mtab; stat -c '%u:%g %a' /etc; grep -c ' /proc proc ' /etc/mtab";
    assert.equal(
      await shell([], script),
      "0:0 /\n0:0 /etc/passwd\n0:0 /etc/hosts\n0:0 /etc/resolv.conf\n5:7\n/.dockerenv\n" +
        "0:0 '/etc/mtab' -> '/proc/mounts'\n0:0 755\n1",
    );
  });

  test("volumes are the container's own; a bind mount stays the host's", async () => {
    const { daemon } = suite;
    assert.equal(
      await shell(
        ["-v", "rig-remapped:/etc"],
        "stat -c %u:%g /etc/passwd; chown 3:4 /etc/passwd; touch /etc/new",
      ),
      "0:0",
    );
    assert.equal(await shell(["-v", "rig-remapped:/v"], "stat -c %u:%g /v/passwd /v/new"), "3:4\n0:0");
    const part = "type=volume,src=rig-remapped,dst=/p,volume-subpath=passwd";
    assert.equal(await shell(["--mount", part], "stat -c %u:%g /p"), "3:4");
    assert.equal(
      await shell(["--mount", `type=image,src=${busybox},dst=/i`], "stat -c %u:%g /i/etc/passwd"),
      "0:0",
    );
    await daemon.dockerOk(["volume", "rm", "rig-remapped"]);
    const bound = join(daemon.root, "bound");
    await mkdir(bound, { mode: 0o755 });
    await writeFile(join(bound, "file"), "host\n");
    assert.equal(
      await shell(["-v", `${bound}:/b`], "stat -c %u /b/file; touch /b/x 2>/dev/null || echo refused"),
      "65534\nrefused",
    );
  });

  test("capabilities hold in its own network, and nowhere else", async () => {
    assert.match(
      await shell(["--cap-add", "NET_ADMIN"], "ip link set lo down && ip link show lo"),
      /state DOWN|<LOOPBACK>/,
    );
    assert.match(
      await shell([], "ping -c 1 -W 2 $(ip route | awk '/default/ {print $3}')"),
      /1 packets received/,
    );
    assert.equal(
      await shell(["--sysctl", "net.ipv4.ip_forward=1"], "cat /proc/sys/net/ipv4/ip_forward"),
      "1",
    );
    const mounts = await shell(["--network", "none"], "cat /proc/mounts");
    assert.match(mounts, /^sysfs \/sys sysfs ro/m);
  });

  test("cp, diff, export and commit show the owners of inside", async () => {
    const { daemon } = suite;
    await daemon.dockerOk([
      "run",
      "-d",
      "--name",
      "box",
      busybox,
      "sh",
      "-c",
      "echo a > /a; chown 5:6 /a; sleep 600",
    ]);
    const owner = async (): Promise<string> =>
      (
        await daemon.host.run([
          "sh",
          "-c",
          `docker -H unix://${daemon.socket} cp box:/a - | tar tv --numeric-owner`,
        ])
      ).stdout;
    assert.match(await owner(), / 5\/6 /);
    const file = await daemon.file("copied", "in\n");
    await daemon.dockerOk(["cp", file, "box:/copied"]);
    assert.equal(await daemon.dockerOk(["exec", "box", "stat", "-c", "%u", "/copied"]), "0");
    await daemon.dockerOk(["stop", "-t", "0", "box"]);
    assert.match(await owner(), / 5\/6 /);
    assert.match(await daemon.dockerOk(["diff", "box"]), /^A \/a$/m);
    await daemon.dockerOk(["commit", "box", "rig-remapped"]);
    assert.equal(await daemon.dockerOk(["run", "--rm", "rig-remapped", "stat", "-c", "%u:%g", "/a"]), "5:6");
    await daemon.dockerOk(["rm", "box"]);
    await daemon.dockerOk(["rmi", "rig-remapped"]);
  });

  test("namespaces of another container; --userns host; what does not go together", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "owner", "--ipc", "shareable", busybox, "sleep", "600"]);
    assert.match(
      await shell(
        ["--pid", "container:owner", "--network", "container:owner", "--ipc", "container:owner"],
        "ps; touch /dev/shm/x",
      ),
      /sleep 600/,
    );
    assert.match(await shell(["--userns", "host"], "cat /proc/self/uid_map"), /^\s*0\s+0\s+4294967295$/);
    assert.equal(await shell(["--userns", "host", "--privileged"], "stat -c %u /etc/passwd"), "0");
    for (const [flags, message] of [
      [["--privileged"], /privileged mode is incompatible with user namespaces/],
      [["--network", "host"], /cannot share the host's network namespace when user namespaces are enabled/],
      [["--pid", "host"], /cannot share the host PID namespace when user namespaces are enabled/],
    ] as const) {
      const result = await daemon.docker(["run", "--rm", ...flags, busybox, "true"]);
      assert.equal(result.code, 125);
      assert.match(result.stderr, message);
    }
  });

  test("a user without a range is named", async () => {
    for (const [value, message] of [
      ["daemon", /no subuid ranges found for user "daemon"/],
      ["no-such-user", /no such user/],
      ["a:b:c", /invalid user\/group specification/],
    ] as const) {
      const other = await TestDaemon.prepare({
        host: suite.daemon.host,
        bridge: "gt-rigremap",
        bip: "10.204.12.1/24",
        flags: ["--userns-remap", value],
      });
      await using _ = other;
      await assert.rejects(other.launch(), message);
    }
  });
});
