/**
 * The disk of the guest: Debian's cloud kernel with its modules, busybox, gantry as the launcher starts it, and the
 * programs it needs, copied from this machine with the libraries they name. Downloads are kept in ~/.cache/gantry.
 */
import {
  copyFileSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
} from "node:fs";
import { chmodSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { mustRun } from "../helpers/process.ts";
import { resourceRows } from "../helpers/resource-table.ts";
import { repositoryRoot } from "../helpers/daemon.ts";

/** Where downloads and what takes long to make are kept. */
export const cacheDirectory = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "gantry");

export interface Kernel {
  readonly version: string;
  readonly image: string;
  /** Directory with `lib/modules/VERSION`. */
  readonly root: string;
}

/** Unpacks the newest cloud kernel that apt knows, without installing it. */
export async function cloudKernel(): Promise<Kernel> {
  let depends = await cloudKernelPackage();
  if (depends === undefined) {
    await mustRun(["apt-get", "update"], { timeoutMs: 120_000 });
    depends = await cloudKernelPackage();
  }
  if (depends === undefined) throw new Error("apt knows no linux-image-cloud-amd64; is this Debian?");
  const version = depends.replace("linux-image-", "");
  const root = join(cacheDirectory, depends);
  if (!existsSync(join(root, "lib/modules", version, "modules.dep")))
    await unpackPackage(depends, root, async (unpacked) => {
      await mustRun(["busybox", "depmod", "-b", unpacked, version], { timeoutMs: 60_000 });
    });
  return { version, image: join(root, "boot", `vmlinuz-${version}`), root };
}

/** Downloads a package and unpacks it, without installing it; `root` appears when it and `finish` are done. */
async function unpackPackage(
  name: string,
  root: string,
  finish?: (unpacked: string) => Promise<void>,
): Promise<void> {
  const unpacked = `${root}.${process.pid}`;
  mkdirSync(unpacked, { recursive: true });
  await mustRun(["apt-get", "download", name], { cwd: unpacked, timeoutMs: 120_000 });
  const [archive = ""] = readdirSync(unpacked).filter((file) => file.endsWith(".deb"));
  await mustRun(["dpkg", "-x", join(unpacked, archive), unpacked], { timeoutMs: 120_000 });
  rmSync(join(unpacked, archive));
  await finish?.(unpacked);
  rmSync(root, { recursive: true, force: true });
  renameSync(unpacked, root);
}

/** The directory with what is in these packages of Debian 12 and in those that they need, unpacked and not set up. */
export async function unpackedRoot(packages: readonly string[]): Promise<string> {
  const root = join(cacheDirectory, `root-${packages.join("-")}`);
  if (existsSync(root)) return root;
  const unpacked = `${root}.${process.pid}`;
  const words = ["--variant=extract", `--include=${packages.join(",")}`, "bookworm", unpacked];
  await mustRun(["mmdebstrap", ...words, "http://deb.debian.org/debian"], { timeoutMs: 600_000 });
  for (const place of [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/lib/python3",
    "usr/lib/python3.11",
  ])
    rmSync(join(unpacked, place), { recursive: true, force: true });
  renameSync(unpacked, root);
  return root;
}

/** The program that loads AppArmor's profiles: this machine's, or that of Debian's package. */
export async function apparmorParser(): Promise<string> {
  const installed = "/sbin/apparmor_parser";
  if (existsSync(installed)) return installed;
  const root = join(cacheDirectory, "apparmor");
  const path = join(root, installed);
  if (!existsSync(path)) await unpackPackage("apparmor", root);
  return path;
}

/** Compiles the guest's SELinux policy, by the compiler of Debian's package. Returns its path. */
export async function selinuxPolicy(directory: string): Promise<string> {
  const root = join(cacheDirectory, "checkpolicy");
  const compiler = join(root, "usr/bin/checkpolicy");
  if (!existsSync(compiler)) await unpackPackage("checkpolicy", root);
  const categories = Array.from({ length: 1024 }, (_, index) => `category c${index};`);
  const text = readFileSync(join(import.meta.dirname, "selinux.conf"), "utf8");
  const source = join(directory, "policy.conf");
  writeFileSync(source, text.replace("CATEGORIES", categories.join("\n")));
  const policy = join(directory, "policy");
  await mustRun([compiler, "-M", "-U", "allow", "-c", "31", "-o", policy, source], { timeoutMs: 60_000 });
  return policy;
}

async function cloudKernelPackage(): Promise<string | undefined> {
  const { stdout } = await mustRun(["apt-cache", "depends", "linux-image-cloud-amd64"]).catch(() => ({
    stdout: "",
  }));
  return /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
}

/** Modules for the disk, in the order in which they must be loaded; everything else is loaded from the disk by need. */
const diskModules = [
  "virtio_ring",
  "virtio",
  "virtio_pci_modern_dev",
  "virtio_pci_legacy_dev",
  "virtio_pci",
  "virtio_blk",
];

const initScript = `#!/bin/sh
mount -t devtmpfs none /dev
for module in ${diskModules.join(" ")}; do insmod /modules/$module.ko; done
tries=0
until [ -b /dev/vda ] || [ $tries = 100 ]; do sleep 0.1; tries=$((tries + 1)); done
mount -t ext4 -o noatime,barrier=0 /dev/vda /root && exec switch_root /root /sbin/guest-init
echo "guest: no disk"; poweroff -f
`;

/** Makes a small initramfs that mounts the disk and goes on there. Returns its path. */
export async function makeInitramfs(kernel: Kernel, directory: string): Promise<string> {
  const tree = join(directory, "initramfs");
  for (const name of ["bin", "dev", "root", "modules"]) mkdirSync(join(tree, name), { recursive: true });
  copyFileSync("/bin/busybox", join(tree, "bin/busybox"));
  for (const applet of ["sh", "mount", "insmod", "sleep", "switch_root", "poweroff"])
    symlinkSync("busybox", join(tree, "bin", applet));
  for (const name of diskModules) {
    const [found] = globSync(`lib/modules/*/kernel/**/${name}.ko`, { cwd: kernel.root });
    // What the kernel has built in needs no module.
    if (found !== undefined) copyFileSync(join(kernel.root, found), join(tree, "modules", `${name}.ko`));
  }
  writeFileSync(join(tree, "init"), initScript, { mode: 0o755 });
  const image = join(directory, "initramfs.cpio");
  await mustRun(["sh", "-c", `cd ${tree} && find . | busybox cpio -o -H newc > ${image}`]);
  return image;
}

const modulePatterns = [
  "kernel/net/**",
  "kernel/fs/{overlayfs,fuse,quota,autofs,configfs}/**",
  "kernel/fs/{nfs,nfsd,nfs_common,lockd,fscache,netfs}/**",
  "kernel/fs/{smb,nls}/**",
  "kernel/drivers/block/loop.ko",
  "kernel/drivers/net/*.ko",
  "kernel/drivers/net/ipvlan/*.ko",
  "kernel/lib/**",
  "kernel/crypto/**",
];

const scripts = [
  "init.sh",
  "smoke.sh",
  "words.sh",
  "apparmor.sh",
  "daemon-flags.sh",
  "power-cut.sh",
  "networks.sh",
  "selinux.sh",
] as const;

/** Makes the guest's ext4 disk and returns its path. `more`: what else is there, and where on this machine it lies. */
export async function makeDisk(
  kernel: Kernel,
  directory: string,
  more: Readonly<Record<string, string>> = {},
): Promise<string> {
  const tree = join(directory, "disk");
  for (const name of [
    "bin",
    "dev",
    "proc",
    "sys",
    "run",
    "tmp",
    "root",
    "etc",
    "var/lib",
    "usr/bin",
    "usr/sbin",
    "sbin",
  ])
    mkdirSync(join(tree, name), { recursive: true });
  copyBusybox(tree);
  copyModules(kernel, tree);
  copyGantry(tree);
  const programs = ["crun", "runc", "conmon", "docker"].map(findProgram).filter((path) => path !== undefined);
  for (const program of programs) copyFileSync(program, join(tree, "usr/bin", basename(program)));
  const libraries = globSync(["/usr/lib/*/libnftables.so.1", "/lib/*/libc.so.6", "/usr/lib/*/libutil.so.1"]);
  await copyLibraries([...programs, ...libraries, join(tree, "gantry/node_modules/node/bin/node")], tree);
  for (const library of libraries) copyInto(tree, library);
  for (const name of scripts) {
    const target = join(tree, "sbin", `guest-${basename(name, ".sh")}`);
    copyFileSync(join(import.meta.dirname, name), target);
    chmodSync(target, 0o755);
  }
  for (const [target, from] of Object.entries(more))
    cpSync(from, join(tree, target), { recursive: true, verbatimSymlinks: true });
  writeFileSync(join(tree, "sbin/guest-resources"), resourceChecks());
  writeFileSync(join(tree, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  writeFileSync(join(tree, "etc/group"), "root:x:0:\n");
  writeFileSync(join(tree, "etc/resolv.conf"), "nameserver 192.0.2.1\n");
  writeFileSync(join(tree, "etc/hosts"), "127.0.0.1 localhost\n");
  writeFileSync(join(tree, "etc/hostname"), "guest\n");
  const image = join(directory, "disk.ext4");
  await mustRun(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", tree, image, "1200M"], {
    timeoutMs: 120_000,
  });
  return image;
}

/** A check of the smoke script for each limit that version 2 of control groups can hold, and for those it cannot. */
function resourceChecks(): string {
  const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
  return resourceRows
    .map(({ flags, v2 }) => {
      const [command, output] = v2 ?? ["true", "[Yy]our kernel does not support"];
      const words = ["$engine", "run", "--rm", ...flags, "$image", "sh", "-c", quote(command)];
      return `matches ${quote(`limit ${flags.join(" ")}`)} ${quote(output)} ${words.join(" ")}\n`;
    })
    .join("");
}

function findProgram(name: string): string | undefined {
  const [found] = ["/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin"]
    .map((path) => join(path, name))
    .filter((path) => existsSync(path));
  if (found === undefined && name !== "docker") throw new Error(`${name} is not installed on this machine`);
  return found;
}

function copyBusybox(tree: string): void {
  copyFileSync("/bin/busybox", join(tree, "bin/busybox"));
  // modprobe is called by the kernel under this path.
  for (const path of ["bin/sh", "sbin/modprobe"]) symlinkSync("/bin/busybox", join(tree, path));
}

/** Copies the modules that containers, networks and volumes load. */
export function copyModules(kernel: Kernel, tree: string): void {
  const base = join("lib/modules", kernel.version);
  for (const path of globSync(
    modulePatterns.map((pattern) => join(base, pattern)),
    { cwd: kernel.root },
  )) {
    if (path.endsWith(".ko")) copyInto(tree, join(kernel.root, path), path);
  }
  for (const path of globSync(join(base, "modules.*"), { cwd: kernel.root }))
    copyInto(tree, join(kernel.root, path), path);
}

/** What the launcher starts when nothing has to be built: the bundles, Node, and the one package outside of them. */
export function copyGantry(tree: string, more: readonly string[] = []): void {
  const target = join(tree, "gantry");
  for (const path of ["gantry", "package.json", "package-lock.json", "dist", ...more])
    cpSync(join(repositoryRoot, path), join(target, path), { recursive: true });
  for (const name of ["node/bin/node", "koffi", "@koromix"]) {
    const from = realpathSync(join(repositoryRoot, "node_modules", name));
    cpSync(from, join(target, "node_modules", name), { recursive: true });
  }
}

/** Copies the shared libraries that programs name. */
async function copyLibraries(programs: readonly string[], tree: string): Promise<void> {
  for (const path of await librariesOf(programs)) copyInto(tree, path);
}

/** Paths of the shared libraries that programs name, by ldd, looked for in these directories first. */
async function librariesOf(
  programs: readonly string[],
  directories: readonly string[] = [],
): Promise<Set<string>> {
  const paths = new Set<string>();
  const env = { LD_LIBRARY_PATH: directories.join(":") };
  for (const program of programs) {
    const { stdout } = await mustRun(["sh", "-c", 'ldd "$1" 2>/dev/null || true', "sh", program], { env });
    for (const [, path] of stdout.matchAll(/(\/\S+) \(0x/g)) if (path !== undefined) paths.add(path);
  }
  return paths;
}

/**
 * Programs for the disk, by name, from Debian packages that are unpacked and not installed; with their libraries, and with
 * other files of the packages, by their paths.
 */
export async function programsOf(
  packages: readonly string[],
  names: readonly string[],
  others: readonly string[] = [],
): Promise<Record<string, string>> {
  const root = join(cacheDirectory, `packages-${packages.join("-")}`);
  if (!existsSync(root)) {
    const unpacked = `${root}.${process.pid}`;
    mkdirSync(unpacked, { recursive: true });
    await mustRun(["apt-get", "download", ...packages], { cwd: unpacked, timeoutMs: 120_000 });
    for (const archive of readdirSync(unpacked).filter((name) => name.endsWith(".deb"))) {
      await mustRun(["dpkg", "-x", join(unpacked, archive), unpacked], { timeoutMs: 120_000 });
      rmSync(join(unpacked, archive));
    }
    renameSync(unpacked, root);
  }
  const programs = names.map((name) => {
    const [found] = [root, "/"].flatMap((base) => globSync(join(base, `{usr/,}{s,}bin/${name}`)));
    if (found === undefined) throw new Error(`${name} is in none of ${packages.join(", ")}`);
    return found;
  });
  const libraries = await librariesOf(programs, globSync(join(root, "{usr/,}lib/*-linux-gnu")));
  const target = (path: string): string => (path.startsWith(root) ? path.slice(root.length) : path);
  return Object.fromEntries([
    ...programs.map((path) => [join("/usr/bin", basename(path)), realpathSync(path)] as const),
    ...[...libraries].map((path) => [target(path), realpathSync(path)] as const),
    ...others.map((path) => [path, join(root, path)] as const),
  ]);
}

function copyInto(tree: string, from: string, to = from): void {
  const target = join(tree, to);
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(realpathSync(from), target);
  chmodSync(target, 0o755);
}
