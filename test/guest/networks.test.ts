/**
 * Quotas of volumes, packets of SCTP and volumes over NFS on Debian's cloud kernel, in a virtual machine: most kernels of
 * test machines have none of them. The NFS server is the kernel's own; its helpers are unpacked from packages. Each line that the guest's script prints becomes a test here.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { mustRun, start } from "../helpers/process.ts";
import { cloudKernel, makeDisk, makeInitramfs, programsOf } from "./image.ts";

const limitMs = 900_000;
const isAsked = process.env["GANTRY_TEST_GUEST_NETWORKS"] === "1";
const accelerator = process.env["GANTRY_TEST_KVM"] === "1" ? "kvm" : "tcg,thread=multi";

const serverPackages = ["nfs-kernel-server", "libwrap0"];
const servers = ["rpc.mountd", "exportfs", "rpc.nfsd", "mount"];

describe("volumes and SCTP", { skip: !isAsked && "asked for with npm run test:guest-networks" }, () => {
  test("in the guest", { timeout: limitMs + 60_000 }, async (context) => {
    const directory = mkdtempSync(join(tmpdir(), "gantry-test-guest-"));
    try {
      const quota = join(directory, "quota.ext4");
      const features = "-q -t ext4 -O quota,project -E quotatype=prjquota".split(" ");
      await mustRun(["mke2fs", ...features, quota, "300M"], { timeoutMs: 120_000 });
      const kernel = await cloudKernel();
      const initramfs = await makeInitramfs(kernel, directory);
      const disk = await makeDisk(kernel, directory, {
        "/quota.ext4": quota,
        "/gantry/sctp.mjs": join(import.meta.dirname, "sctp.mjs"),
        "/etc/netconfig": "/etc/netconfig",
        ...(await programsOf(serverPackages, servers)),
      });
      const machine = start([
        ..."qemu-system-x86_64 -nographic -no-reboot -machine q35 -cpu max -smp 2 -m 2048 -nic none".split(
          " ",
        ),
        "-accel",
        accelerator,
        "-kernel",
        kernel.image,
        "-initrd",
        initramfs,
        "-append",
        "console=ttyS0 quiet panic=-1 no_timer_check mitigations=off guest=networks",
        "-drive",
        `file=${disk},format=raw,if=virtio,cache=unsafe`,
      ]);
      const { stdout, stderr } = await machine.wait(limitMs);
      if (process.env["GANTRY_TEST_GUEST_CONSOLE"] !== undefined) process.stderr.write(stdout);
      const console = stdout.replaceAll("\r\n", "\n");
      const results = [...console.matchAll(/^(ok|not ok) (.*?)\n((?: {2}# .*\n)*)/gm)];
      for (const [, result, name = "", details = ""] of results)
        await context.test(name, () => assert.equal(result, "ok", details));
      assert.equal(
        results.length,
        23,
        `the guest did not come to its end:\n${console.slice(-3000)}${stderr}`,
      );
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
