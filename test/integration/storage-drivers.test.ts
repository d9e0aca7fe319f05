/** Containers on every storage driver: what they change, what `diff` and `commit` see, and that nothing stays. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { loopFileSystem } from "../../src/snapshot/loop.fixture.ts";
import { flavour, TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { eventually, mustRun, run } from "../helpers/process.ts";

const hasFuse = (await run(["sh", "-c", "command -v fuse-overlayfs && test -e /dev/fuse"])).code === 0;

async function useDriver(driver: string, root: string): Promise<void> {
  await using daemon = await TestDaemon.start({ root, flags: ["--storage-driver", driver] });
  await ensureBusybox(daemon);
  const info = await daemon.dockerOk(["info"]);
  assert.match(info, new RegExp(`Storage Driver: ${driver}`));
  assert.match(info, /Chosen Because: asked for with --storage-driver/);
  const work = "echo new > /root/new; rm /etc/group; rm -r /var; mkdir /var; echo x > /var/x; chmod 700 /tmp";
  await daemon.dockerOk(["run", "--name", "box", "--network", "none", busybox, "sh", "-c", work]);
  const diff = (await daemon.dockerOk(["diff", "box"])).split("\n").toSorted();
  const wanted =
    "A /root/new,A /var/x,C /etc,C /root,C /tmp,C /var,D /etc/group,D /var/spool,D /var/tmp,D /var/www";
  assert.equal(diff.join(), wanted);
  await daemon.dockerOk(["commit", "box", "drivers/changed"], { timeoutMs: 60_000 });
  const look = "cat /root/new /var/x; ls /var /etc; stat -c %a /tmp";
  const seen = await daemon.dockerOk([
    "run",
    "--rm",
    "--network",
    "none",
    "drivers/changed",
    "sh",
    "-c",
    look,
  ]);
  assert.match(seen, /^new\nx\n\/etc:\n[^:]*\/var:\nx\n700$/);
  assert.ok(!seen.split("\n").includes("group"));
  await daemon.dockerOk(["rm", "-f", "box"]);
  await daemon.dockerOk(["rmi", "-f", "drivers/changed", busybox]);
  const at = join(daemon.dataRoot, "snapshots", driver);
  await eventually(
    async () => {
      const left = await Promise.all(
        ["layers", "active", "tmp", "trash"].map((name) => readdir(join(at, name))),
      );
      return left.flat().length === 0;
    },
    { what: `nothing left in ${at}` },
  );
  const mounts = (await daemon.host.run(["cat", "/proc/self/mounts"])).stdout;
  assert.ok(!mounts.includes(`${daemon.execRoot}/containers`));
  await eventually(
    async () =>
      !(await mustRun(["ps", "ax", "-o", "args"])).stdout.includes(
        `fuse-overlayfs -o lowerdir=${daemon.root}`,
      ),
    { what: "no program that serves a file system" },
  );
}

describe("storage drivers", { skip: flavour === "docker" }, () => {
  for (const driver of ["overlay2", "vfs", "fuse-overlayfs"])
    test(driver, { skip: driver === "fuse-overlayfs" && !hasFuse }, async () => {
      const root = await mkdtemp(join(tmpdir(), "gantry-test-driver-"));
      try {
        await useDriver(driver, root);
      } finally {
        await rm(root, { recursive: true, force: true });
      }
    });

  test("btrfs", async (t) => {
    using place = loopFileSystem("btrfs");
    if (place.path === undefined) {
      t.skip(place.why);
      return;
    }
    await useDriver("btrfs", join(place.path, "root"));
  });

  test("an unknown one, and one that does not work here, are refused by name", async () => {
    const root = await mkdtemp(join(tmpdir(), "gantry-test-driver-"));
    try {
      for (const [driver, words] of [
        ["aufs", /unknown storage driver aufs: there are overlay2, btrfs, fuse-overlayfs, vfs/],
        ["btrfs", /storage driver btrfs does not work in .*it is no btrfs/],
      ] as const)
        await assert.rejects(TestDaemon.start({ root, flags: ["-s", driver] }), words);
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  });
});
