/**
 * Labels of containers on a kernel with SELinux: Debian's cloud kernel in a virtual machine, with a policy of this
 * directory.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { programsOf, selinuxPolicy } from "./image.ts";
import { guestLimitMs, runGuest } from "./run-guest.ts";

const isAsked = process.env["GANTRY_TEST_GUEST_SELINUX"] === "1";
const contexts =
  'process = "system_u:system_r:container_t:s0"\nfile = "system_u:object_r:container_file_t:s0"\n';

async function files(directory: string): Promise<Record<string, string>> {
  const lxcContexts = join(directory, "lxc_contexts");
  writeFileSync(lxcContexts, contexts);
  return {
    "/selinux.policy": await selinuxPolicy(directory),
    "/etc/selinux/targeted/contexts/lxc_contexts": lxcContexts,
    ...(await programsOf(["attr"], ["getfattr", "setfattr"])),
  };
}

describe("SELinux", { skip: !isAsked && "asked for with npm run test:guest-selinux" }, () => {
  test("in the guest", { timeout: guestLimitMs + 60_000 }, async (context) => {
    await runGuest(context, { script: "selinux", kernelWords: "security=selinux", files, leastResults: 33 });
  });
});
