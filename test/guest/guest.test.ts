/**
 * The same program on another kernel: Debian's cloud kernel with cgroup v2, in a virtual machine. Each line that the
 * smoke script in the guest prints becomes a test here. The processor is emulated, since KVM inside of virtual machines
 * is not to be relied on; `GANTRY_TEST_KVM=1` uses it.
 */
import { describe, test } from "node:test";
import { apparmorParser } from "./image.ts";
import { guestLimitMs, runGuest } from "./run-guest.ts";

describe("guest with cgroup v2", () => {
  test("boots and runs containers", { timeout: guestLimitMs + 60_000 }, async (context) => {
    await runGuest(context, {
      script: "smoke",
      files: async () => ({ "sbin/apparmor_parser": await apparmorParser() }),
      leastResults: 20,
    });
  });
});
