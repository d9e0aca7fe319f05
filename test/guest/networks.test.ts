/**
 * Quotas of volumes, packets of SCTP and volumes over NFS and CIFS on Debian's cloud kernel, in a virtual machine: most
 * kernels of test machines have none of them. The NFS server is the kernel's own, with helpers that are unpacked from
 * packages; shares are Samba's.
 */
import { join } from "node:path";
import { describe, test } from "node:test";
import { mustRun } from "../helpers/process.ts";
import { programsOf, unpackedRoot } from "./image.ts";
import { guestLimitMs, runGuest } from "./run-guest.ts";

const isAsked = process.env["GANTRY_TEST_GUEST_NETWORKS"] === "1";
const serverPackages = ["nfs-kernel-server", "libwrap0", "libtirpc-common"];
const servers = ["rpc.mountd", "exportfs", "rpc.nfsd", "mount", "umount", "env"];

async function files(directory: string): Promise<Record<string, string>> {
  const quota = join(directory, "quota.ext4");
  const features = "-q -t ext4 -O quota,project -E quotatype=prjquota".split(" ");
  await mustRun(["mke2fs", ...features, quota, "300M"], { timeoutMs: 120_000 });
  return {
    "/quota.ext4": quota,
    "/gantry/sctp.mjs": join(import.meta.dirname, "sctp.mjs"),
    ...(await programsOf(serverPackages, servers, ["/etc/netconfig"])),
    "/samba": await unpackedRoot(["samba"]),
  };
}

describe("volumes and SCTP", { skip: !isAsked && "asked for with npm run test:guest-networks" }, () => {
  test("in the guest", { timeout: guestLimitMs + 60_000 }, async (context) => {
    await runGuest(context, { script: "networks", files, leastResults: 61 });
  });
});
