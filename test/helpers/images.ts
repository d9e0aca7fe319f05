/** The image that tests run: built in with gantry, imported from the host's static busybox with Docker. */
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mustRun } from "./process.ts";
import type { TestDaemon } from "./daemon.ts";

export const busybox = "gantry/busybox";

/** Makes sure that `gantry/busybox:latest` is there. */
export async function ensureBusybox(daemon: TestDaemon): Promise<void> {
  if ((await daemon.docker(["image", "inspect", busybox])).code === 0) return;
  if (daemon.flavour === "gantry") {
    await daemon.dockerOk(["pull", busybox], { timeoutMs: 60_000 });
    return;
  }
  const directory = await mkdtemp(join(tmpdir(), "gantry-test-busybox-"));
  try {
    const archive = await busyboxTar(directory);
    await daemon.dockerOk(["import", "-c", 'CMD ["sh"]', archive, `${busybox}:latest`], {
      timeoutMs: 60_000,
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Writes a root file system with busybox and its applets as a tar, and returns its path. */
export async function busyboxTar(directory: string): Promise<string> {
  const root = join(directory, "rootfs");
  for (const name of ["bin", "etc", "dev", "proc", "sys", "root", "var"])
    await mkdir(join(root, name), { recursive: true });
  await mkdir(join(root, "tmp"), { mode: 0o1777 });
  await mustRun(["chmod", "1777", join(root, "tmp")]);
  await copyFile("/bin/busybox", join(root, "bin/busybox"));
  const applets = (await mustRun(["busybox", "--list"])).stdout.trim().split("\n");
  for (const applet of applets) if (applet !== "busybox") await symlink("busybox", join(root, "bin", applet));
  await writeFile(
    join(root, "etc/passwd"),
    "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n",
  );
  await writeFile(join(root, "etc/group"), "root:x:0:\ndaemon:x:1:\nadm:x:4:nobody\nnogroup:x:65534:\n");
  const archive = join(directory, "busybox.tar");
  await mustRun(["tar", "-C", root, "-cf", archive, "--owner=0", "--group=0", "."]);
  return archive;
}

/** A Debian base image, made once on this machine for all tests that need one. */
export const debian = "debian:bookworm";

/** Makes sure that {@link debian} is there. It is kept as an archive outside of the tree. */
export async function ensureDebian(daemon: TestDaemon): Promise<void> {
  if ((await daemon.docker(["image", "inspect", debian])).code === 0) return;
  const directory = process.env["GANTRY_TEST_CACHE"] ?? "/var/cache/gantry-test";
  const archive = join(directory, "debian-bookworm.tar");
  if (existsSync(archive)) {
    await daemon.dockerOk(["load", "-q", "-i", archive], { timeoutMs: 120_000 });
    return;
  }
  const made = await daemon.gantry(["image", "bootstrap", debian], { timeoutMs: 240_000 });
  if (made.code !== 0) throw new Error(`cannot bootstrap ${debian}: ${made.stderr}`);
  await mkdir(directory, { recursive: true });
  const unfinished = `${archive}.${process.pid}`;
  await daemon.dockerOk(["save", "-o", unfinished, debian], { timeoutMs: 120_000 });
  await rename(unfinished, archive);
}
