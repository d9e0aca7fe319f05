/**
 * `npm run test:guest-service`: the daemon as a service of Debian's systemd, in a virtual machine that is started twice. Each
 * line that the guest's script prints becomes a test here.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { start } from "../helpers/process.ts";
import { cloudKernel, type Kernel, makeInitramfs } from "./image.ts";
import { makeServiceDisk } from "./service-disk.ts";

const isAsked = process.env["GANTRY_TEST_GUEST_SERVICE"] === "1";
const bootLimitMs = 900_000;
const machineWords =
  process.env["GANTRY_TEST_KVM"] === "1"
    ? "-machine q35 -accel kvm -cpu host,arch-capabilities=off"
    : "-machine q35 -accel tcg,thread=multi -cpu max";

interface Guest {
  readonly kernel: Kernel;
  readonly initramfs: string;
  readonly disk: string;
}

/** Starts the machine and has a test for each of its results. */
async function boot(context: TestContext, { kernel, initramfs, disk }: Guest, count: number): Promise<void> {
  const kernelWords = "console=ttyS0 quiet panic=-1 no_timer_check mitigations=off systemd.show_status=false";
  const machine = start([
    "qemu-system-x86_64",
    ...`-nographic -no-reboot ${machineWords} -smp 2 -m 2048 -nic none`.split(" "),
    ...`-kernel ${kernel.image} -initrd ${initramfs} -drive file=${disk},format=raw,if=virtio,cache=unsafe`.split(
      " ",
    ),
    "-append",
    kernelWords,
  ]);
  const { stdout, stderr } = await machine.wait(bootLimitMs);
  if (process.env["GANTRY_TEST_GUEST_CONSOLE"] !== undefined) process.stderr.write(stdout);
  const console = stdout.replaceAll("\r\n", "\n");
  const results = [...console.matchAll(/^(ok|not ok) (.*?)\n((?: {2}# .*\n)*)/gm)];
  for (const [, result, name = "", details = ""] of results)
    await context.test(name, () => assert.equal(result, "ok", details));
  assert.equal(results.length, count, `the guest did not come to its end:\n${console.slice(-3000)}${stderr}`);
}

describe("service", { skip: !isAsked && "asked for with npm run test:guest-service" }, () => {
  test("in the guest", { timeout: 2 * bootLimitMs + 900_000 }, async (context) => {
    const directory = mkdtempSync(join(tmpdir(), "gantry-test-guest-"));
    try {
      const kernel = await cloudKernel();
      const initramfs = await makeInitramfs(kernel, directory);
      const guest = { kernel, initramfs, disk: await makeServiceDisk(kernel, directory) };
      await boot(context, guest, 20);
      await boot(context, guest, 5);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
