/**
 * The same program on another kernel: Debian's cloud kernel with cgroup v2, in a virtual machine. Each line that the
 * smoke script in the guest prints becomes a test here. The processor is emulated, since KVM inside of virtual machines
 * is not to be relied on; `GANTRY_TEST_KVM=1` uses it.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { start } from "../helpers/process.ts";
import { apparmorParser, cloudKernel, makeDisk, makeInitramfs } from "./image.ts";

const limitMs = 900_000;
const accelerator = process.env["GANTRY_TEST_KVM"] === "1" ? "kvm" : "tcg,thread=multi";

describe("guest with cgroup v2", () => {
  test("boots and runs containers", { timeout: limitMs + 60_000 }, async (context) => {
    assert.ok(existsSync("/usr/bin/qemu-system-x86_64"), "qemu is missing: apt-get install qemu-system-x86");
    const directory = mkdtempSync(join(tmpdir(), "gantry-test-guest-"));
    try {
      const console = await boot(directory);
      const results = [...console.matchAll(/^(ok|not ok) (.*?)\r?\n((?: {2}# .*\n)*)/gm)];
      for (const [, result, name = "", details = ""] of results)
        await context.test(name, () => assert.equal(result, "ok", details));
      assert.match(console, /^guest: done/m, `the guest did not come to its end:\n${console.slice(-3000)}`);
      assert.ok(results.length >= 20, `only ${results.length} results:\n${console.slice(-3000)}`);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

/** Runs the guest to its power-off and returns what its console showed. */
async function boot(directory: string): Promise<string> {
  const kernel = await cloudKernel();
  const [initramfs, disk] = await Promise.all([
    makeInitramfs(kernel, directory),
    makeDisk(kernel, directory, { "sbin/apparmor_parser": await apparmorParser() }),
  ]);
  const machine = start([
    "qemu-system-x86_64",
    "-nographic",
    "-no-reboot",
    ...`-machine q35 -accel ${accelerator} -cpu max -smp 2 -m 2048 -nic none`.split(" "),
    "-kernel",
    kernel.image,
    "-initrd",
    initramfs,
    "-append",
    "console=ttyS0 quiet panic=-1 no_timer_check mitigations=off",
    "-drive",
    `file=${disk},format=raw,if=virtio,cache=unsafe`,
  ]);
  const { stdout, stderr, code } = await machine.wait(limitMs);
  if (code !== 0) throw new Error(`qemu ended with ${code}: ${stderr}${stdout.slice(-2000)}`);
  if (process.env["GANTRY_TEST_GUEST_CONSOLE"] !== undefined) process.stderr.write(stdout);
  return stdout.replaceAll("\r\n", "\n");
}
