/** The leak check itself: it must see each kind of thing that a daemon could leave behind. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, rmSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { TestDaemon } from "./daemon.ts";
import { leaksBetween, takeSnapshot, withoutLeaks, type LeakKind } from "./leak-check.ts";
import { eventually, mustRun } from "./process.ts";
import { startIdleDaemon } from "./idle-daemon.ts";

describe("the leak check detects", () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await startIdleDaemon();
  });
  after(() => daemon[Symbol.asyncDispose]());

  /** Takes a snapshot, leaks, takes another; asserts that exactly this kind is told, then cleans up. */
  async function detects(kind: LeakKind, leak: () => unknown, undo: () => unknown): Promise<void> {
    const first = await takeSnapshot(daemon);
    await leak();
    try {
      const told = leaksBetween(first, await takeSnapshot(daemon));
      assert.ok(told.length > 0, `a leak of ${kind} was not noticed`);
      assert.deepEqual([...new Set(told.map((line) => line.split(":")[0]))], [kind], told.join("\n"));
    } finally {
      await undo();
    }
    assert.deepEqual(leaksBetween(first, await takeSnapshot(daemon)), []);
  }

  const inHost = (...argv: string[]): Promise<unknown> => mustRun(daemon.host.command(argv));

  test("a mount", async () => {
    const target = join(daemon.execRoot, "already-there");
    await detects(
      "mounts",
      () => inHost("mount", "-t", "tmpfs", "none", target),
      () => inHost("umount", target),
    );
  });

  test("a named network namespace", async () => {
    const name = `leak${process.pid}`;
    await detects(
      "namespaces",
      () => mustRun(["ip", "netns", "add", name]),
      () => mustRun(["ip", "netns", "del", name]),
    );
  });

  test("a veth", async () => {
    await detects(
      "links",
      () => inHost("ip", "link", "add", "vetha1b2c3", "type", "veth", "peer", "name", "vethd4e5f6"),
      () => inHost("ip", "link", "del", "vetha1b2c3"),
    );
  });

  test("a cgroup", async () => {
    const base = existsSync("/sys/fs/cgroup/pids") ? "/sys/fs/cgroup/pids" : "/sys/fs/cgroup";
    const parent = join(base, daemon.cgroupParent);
    const leaked = join(parent, "leaked");
    await detects(
      "cgroups",
      () => mkdirSync(leaked, { recursive: true }),
      () => {
        rmdirSync(leaked);
        rmdirSync(parent);
      },
    );
  });

  test("an nft element", async () => {
    await inHost("nft", "add table ip leak; add set ip leak ports { type inet_service; }");
    await detects(
      "nftables",
      () => inHost("nft", "add element ip leak ports { 8080 }"),
      () => inHost("nft", "delete element ip leak ports { 8080 }"),
    );
    await inHost("nft", "delete table ip leak");
  });

  test("a process", async () => {
    let pid = 0;
    await detects(
      "processes",
      async () => {
        const script = 'tail -f "$1" >/dev/null 2>&1 & echo $!';
        pid = Number((await mustRun(["sh", "-c", script, "sh", daemon.logFile])).stdout);
      },
      async () => {
        process.kill(pid, "SIGKILL");
        await eventually(() => !existsSync(`/proc/${pid}`), { what: "the end of the leaked process" });
      },
    );
  });

  test("a descriptor", async () => {
    await detects(
      "descriptors",
      () => daemon.signal("SIGUSR1"),
      () => daemon.signal("SIGUSR2"),
    );
  });

  test("a file under exec-root", async () => {
    const path = join(daemon.execRoot, "bundle-left");
    await detects(
      "exec-root",
      () => writeFileSync(path, ""),
      () => rmSync(path),
    );
  });

  test("a directory under data-root", async () => {
    const path = join(daemon.dataRoot, "snapshot-left");
    await detects(
      "data-root",
      () => mkdirSync(path),
      () => rmdirSync(path),
    );
  });

  test("and fails the test, naming what stays", async () => {
    const path = join(daemon.execRoot, "named-in-the-error");
    await assert.rejects(
      withoutLeaks(daemon, async () => writeFileSync(path, ""), { settleMs: 300 }),
      /left behind:\n {2}exec-root: named-in-the-error/,
    );
    rmSync(path);
  });
});
