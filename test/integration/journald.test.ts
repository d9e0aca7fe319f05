/** The journald log driver, with a journald of the test's own: its sockets and files are where only the daemon's host sees them. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { flavour, TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { eventually, type RunningProgram } from "../helpers/process.ts";

const journald = "/lib/systemd/systemd-journald";
const prepare = `
mkdir -p /run/systemd && mount -t tmpfs none /run/systemd && mkdir -p /run/systemd/journal /run/systemd/journald.conf.d
mkdir -p /run/log && mount -t tmpfs none /run/log && mkdir /run/log/journal
cat > /run/systemd/journald.conf.d/test.conf <<CONF
[Journal]
Storage=volatile
ReadKMsg=no
Audit=no
RateLimitBurst=0
CONF
exec ${journald}`;

describe("journald", { skip: flavour === "docker" || !existsSync(journald) }, () => {
  let daemon: TestDaemon;
  let journal: RunningProgram;

  before(async () => {
    daemon = await TestDaemon.start();
    await ensureBusybox(daemon);
  });
  after(async () => {
    await daemon.removeContainers();
    if (journal !== undefined) {
      // nsenter passes no signals on: what it started is found by its place.
      await daemon.host.run(["sh", "-c", "kill $(cat /run/systemd/journal/test.pid)"]);
      await journal.wait();
    }
    await daemon[Symbol.asyncDispose]();
  });

  const logged = (...args: string[]): string[] => ["--log-driver", "journald", ...args];

  test("without a journal the start says so", async () => {
    await daemon.host.run(["sh", "-c", "mkdir -p /run/systemd && mount -t tmpfs none /run/systemd"]);
    const result = await daemon.docker(["run", "--rm", ...logged(busybox, "true")]);
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, /failed to initialize logging driver: journald is not enabled on this host/);
    await daemon.host.run(["umount", "/run/systemd"]);
  });

  test("lines are in the journal with Docker's fields, and logs reads them", async () => {
    const script = prepare.replace("exec ", () => "echo $$ > /run/systemd/journal/test.pid; exec ");
    journal = daemon.host.start(["sh", "-c", script]);
    await eventually(
      async () => (await daemon.host.run(["test", "-S", "/run/systemd/journal/socket"])).code === 0,
    );
    const options = ["--log-opt", "tag={{.Name}}", "--log-opt", "labels=com.team"];
    const program = "echo out; echo err >&2; printf 'odd \\377 byte\\n'; sleep 1; echo late";
    const flags = ["--name", "box", "--label", "com.team=red", ...options];
    const id = await daemon.dockerOk(["run", "-d", ...flags, ...logged(busybox, "sh", "-c", program)]);
    const following = await daemon.docker(["logs", "-f", "box"]);
    assert.equal(following.stdoutBytes.toString("latin1"), "out\nodd \u00ff byte\nlate\n");
    assert.equal(following.stderr, "err\n");
    const read = ["journalctl", "-o", "json", "--all", `CONTAINER_ID_FULL=${id}`];
    const { stdout } = await daemon.host.run(read);
    const entries = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, string>);
    // What came by two pipes at the same moment has no order.
    assert.deepEqual(
      entries.map(({ PRIORITY }) => Number(PRIORITY)).sort((a, b) => a - b),
      [3, 6, 6, 6],
    );
    const { CONTAINER_NAME, CONTAINER_TAG, SYSLOG_IDENTIFIER, IMAGE_NAME, COM_TEAM } = entries[0] ?? {};
    assert.deepEqual(
      [CONTAINER_NAME, CONTAINER_TAG, SYSLOG_IDENTIFIER, IMAGE_NAME, COM_TEAM],
      ["box", "box", "box", busybox, "red"],
    );
    assert.equal(await daemon.dockerOk(["logs", "--tail", "1", "box"]), "late");
    const times = (await daemon.dockerOk(["logs", "-t", "--tail", "2", "box"])).split("\n");
    assert.match(times.at(-1) ?? "", /^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{9}Z late$/);
    assert.match(await daemon.dockerOk(["logs", "--details", "--tail", "1", "box"]), /^COM_TEAM=red late$/);
  });
});
