/** The daemon as a service: sockets that a service manager opened, and notices to it. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { flavour, gantryProgram, TestDaemon } from "../helpers/daemon.ts";
import { DatagramReceiver } from "../helpers/datagram-receiver.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";

const activate = "/usr/bin/systemd-socket-activate";
const tcp = "127.0.0.1:23751";

describe("service", { skip: flavour === "docker" || !existsSync(activate) }, () => {
  let daemon: TestDaemon;
  let manager: DatagramReceiver;

  before(async () => {
    // It opens the sockets, and becomes the daemon at the first connection.
    const program = ({ socket, root, ...prepared }: TestDaemon): string[] =>
      [
        [activate, "-l", socket, "-l", tcp, "-E", `NOTIFY_SOCKET=${join(root, "notify")}`],
        [gantryProgram, "daemon", "-H", "fd://", "--data-root", prepared.dataRoot],
        ["--exec-root", prepared.execRoot, "--pidfile", prepared.pidfile, "--bip", prepared.bip],
        ["--cgroup-parent", prepared.cgroupParent],
      ].flat();
    daemon = await TestDaemon.prepare({ program });
    manager = new DatagramReceiver(join(daemon.root, "notify"));
    await daemon.launch();
    await ensureBusybox(daemon);
  });
  after(async () => {
    await daemon[Symbol.asyncDispose]();
    manager[Symbol.dispose]();
  });

  const told = (count: number): Promise<void> =>
    eventually(() => manager.received().length >= count, { what: `${count} notices` });

  test("each socket that was handed over serves the API", async () => {
    const version = ["version", "--format", "{{.Server.APIVersion}}"];
    const byFile = await daemon.dockerOk(version);
    const { stdout } = await daemon.host.run(["docker", "-H", `tcp://${tcp}`, ...version]);
    assert.equal(stdout.trim(), byFile);
  });

  test("the manager is told of readiness and of a reload", async () => {
    await told(1);
    assert.deepEqual(manager.received(), ["READY=1"]);
    daemon.signal("SIGHUP");
    await told(3);
    assert.match(manager.received()[1]!, /^RELOADING=1\nMONOTONIC_USEC=\d+$/);
    assert.equal(manager.received()[2], "READY=1");
  });

  test("a container has nothing of it", async () => {
    const script = "env | grep -E 'NOTIFY|LISTEN' ; ls /proc/self/fd | wc -l; mount | grep -c notify";
    const output = await daemon.docker(["run", "--rm", busybox, "sh", "-c", script]);
    // The three of a program, and the one that ls reads the directory by.
    assert.equal(output.stdout, "4\n0\n");
  });

  test("without a socket the daemon says what is missing", async () => {
    const args = ["daemon", "-H", "fd://", "--bridge", "none"];
    for (const name of ["data", "exec"]) args.push(`--${name}-root`, join(daemon.root, `other-${name}`));
    const result = await daemon.host.run([
      gantryProgram,
      ...args,
      "--pidfile",
      join(daemon.root, "other.pid"),
    ]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /cannot listen on fd:\/\/: no sockets found via socket activation/);
    assert.match(result.stderr, /socket unit/);
  });

  test("the manager keeps its socket when the daemon stops", async () => {
    assert.equal(await daemon.stop(), 0);
    await told(4);
    assert.equal(manager.received()[3], "STOPPING=1");
    assert.equal(existsSync(daemon.socket), true);
  });
});
