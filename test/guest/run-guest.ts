/** A virtual machine that runs one script of this directory to its end; each line of its results becomes a test here. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { start } from "../helpers/process.ts";
import { cloudKernel, type Kernel, makeDisk, makeInitramfs } from "./image.ts";

/** Booting and all of a script, on a processor that is emulated. */
export const guestLimitMs = 900_000;

/**
 * The machine and its processor in qemu's words. KVM inside of virtual machines is not to be relied on, so it is used when
 * it is asked for.
 */
export const machineWords: readonly string[] =
  process.env["GANTRY_TEST_KVM"] === "1"
    ? "-machine q35 -accel kvm -cpu host,arch-capabilities=off".split(" ")
    : "-machine q35 -accel tcg,thread=multi -cpu max".split(" ");

export interface GuestOptions {
  /** `networks` for `networks.sh`. */
  readonly script: string;
  /** What else the kernel is told. */
  readonly kernelWords?: string;
  /** What else is on the disk, and where on this machine it lies; `directory` is for what is made for it. */
  readonly files?: (directory: string) => Promise<Readonly<Record<string, string>>>;
  /** A run to the end has as many results, or more. */
  readonly leastResults: number;
}

/** What a virtual machine is started from. */
export interface Machine {
  readonly kernel: Kernel;
  readonly initramfs: string;
  readonly disk: string;
}

/** Boots the guest, and has a test of `context` for each of its results. Throws when it does not come to its end. */
export async function runGuest(context: TestContext, options: GuestOptions): Promise<void> {
  const { script, kernelWords = "", files, leastResults } = options;
  await inGuestDirectory(async (directory) => {
    const kernel = await cloudKernel();
    const initramfs = await makeInitramfs(kernel, directory);
    const disk = await makeDisk(kernel, directory, await files?.(directory));
    const console = await boot({ kernel, initramfs, disk }, `${kernelWords} guest=${script}`);
    await testResults(context, console, leastResults);
  });
}

/** Runs `work` with a directory for disks, which is removed at its end. Throws where there is no qemu. */
export async function inGuestDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  assert.ok(existsSync("/usr/bin/qemu-system-x86_64"), "qemu is missing: apt-get install qemu-system-x86");
  const directory = mkdtempSync(join(tmpdir(), "gantry-test-guest-"));
  try {
    await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Has a test of `context` for each result on a guest's console. Throws when it did not come to its end. */
export async function testResults(
  context: TestContext,
  console: string,
  leastResults: number,
): Promise<void> {
  const results = [...console.matchAll(/^(ok|not ok) (.*?)\n((?: {2}# .*\n)*)/gm)];
  for (const [, result, name = "", details = ""] of results)
    await context.test(name, () => assert.equal(result, "ok", details));
  const end = `the guest did not come to its end:\n${console.slice(-3000)}`;
  assert.match(console, /^guest: done/m, end);
  assert.ok(results.length >= leastResults, `only ${results.length} results: ${end}`);
}

/** Runs a guest to its power-off and returns what its console showed. */
export async function boot({ kernel, initramfs, disk }: Machine, kernelWords: string): Promise<string> {
  const machine = start([
    "qemu-system-x86_64",
    ..."-nographic -no-reboot -smp 2 -m 2048 -nic none".split(" "),
    ...machineWords,
    "-kernel",
    kernel.image,
    "-initrd",
    initramfs,
    "-append",
    `console=ttyS0 quiet panic=-1 no_timer_check mitigations=off ${kernelWords}`,
    "-drive",
    `file=${disk},format=raw,if=virtio,cache=unsafe`,
  ]);
  if (process.env["GANTRY_TEST_GUEST_CONSOLE"] !== undefined) machine.process.stdout?.pipe(process.stderr);
  const { stdout, stderr, code } = await machine.wait(guestLimitMs);
  if (code !== 0) throw new Error(`qemu ended with ${code}: ${stderr}${stdout.slice(-2000)}`);
  return stdout.replaceAll("\r\n", "\n");
}
