/**
 * Labels of containers on a kernel with SELinux: Debian's cloud kernel in a virtual machine, with a policy of this
 * directory. Each line that the guest's script prints becomes a test here.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { start } from "../helpers/process.ts";
import { cloudKernel, makeDisk, makeInitramfs, programsOf, selinuxPolicy } from "./image.ts";

const limitMs = 900_000;
const isAsked = process.env["GANTRY_TEST_GUEST_SELINUX"] === "1";
const accelerator = process.env["GANTRY_TEST_KVM"] === "1" ? "kvm" : "tcg,thread=multi";
const contexts =
  'process = "system_u:system_r:container_t:s0"\nfile = "system_u:object_r:container_file_t:s0"\n';

describe("SELinux", { skip: !isAsked && "asked for with npm run test:guest-selinux" }, () => {
  test("in the guest", { timeout: limitMs + 60_000 }, async (context) => {
    const directory = mkdtempSync(join(tmpdir(), "gantry-test-guest-"));
    try {
      const lxcContexts = join(directory, "lxc_contexts");
      writeFileSync(lxcContexts, contexts);
      const kernel = await cloudKernel();
      const initramfs = await makeInitramfs(kernel, directory);
      const disk = await makeDisk(kernel, directory, {
        "/selinux.policy": await selinuxPolicy(directory),
        "/etc/selinux/targeted/contexts/lxc_contexts": lxcContexts,
        ...(await programsOf(["attr"], ["getfattr", "setfattr"])),
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
        "console=ttyS0 quiet panic=-1 no_timer_check mitigations=off security=selinux guest=selinux",
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
        33,
        `the guest did not come to its end:\n${console.slice(-3000)}${stderr}`,
      );
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
