/**
 * The built-in image `gantry/busybox`: the host's own static busybox with a link for each of its programs and the few
 * files that a small system has. Everything in it depends on the binary alone, so the same busybox gives the same digest.
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { EngineError, errorText } from "../base/errors.ts";
import { isErrno } from "../linux/fs-error.ts";
import { digestOf } from "../oci/digest.ts";
import type { ImageConfigFile } from "../oci/image-spec.ts";
import { hostPlatform } from "../oci/platform.ts";
import { tarEnd, tarHeader, type TarHeader, tarPadding } from "../oci/tar-writer.ts";

/** Its familiar repository name. */
export const busyboxRepository = "gantry/busybox";

const candidates = ["/bin/busybox", "/usr/bin/busybox"];
const created = "2026-01-01T00:00:00Z";
const createdNs = BigInt(Date.parse(created)) * 1_000_000n;
const hint = "install the package busybox-static";

/** The layer and the configuration. Throws `unavailable` when the host has no static busybox. */
export async function makeBusyboxImage(
  paths: readonly string[] = candidates,
): Promise<{ layer: Buffer; config: ImageConfigFile }> {
  const { path, binary } = await findBinary(paths);
  const layer = layerTar(binary, await listApplets(path));
  const { architecture, os, variant } = hostPlatform();
  return {
    layer,
    config: {
      created,
      architecture,
      os,
      ...(variant === undefined ? {} : { variant }),
      config: {
        Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        Cmd: ["sh"],
      },
      rootfs: { type: "layers", diff_ids: [digestOf(layer)] },
      history: [
        { created, created_by: "static busybox of the host", comment: "made by gantry" },
        { created, created_by: 'CMD ["sh"]', empty_layer: true },
      ],
    },
  };
}

async function findBinary(paths: readonly string[]): Promise<{ path: string; binary: Buffer }> {
  let dynamic: string | undefined;
  for (const path of paths) {
    try {
      const binary = await readFile(path);
      if (isStaticElf(binary)) return { path, binary };
      dynamic = path;
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENOTDIR"))
        throw new EngineError("unavailable", `cannot read ${path}: ${errorText(error)}`, {
          hint,
          cause: error,
        });
    }
  }
  const reason =
    dynamic === undefined
      ? "this host has no busybox"
      : `${dynamic} is not statically linked and cannot run alone`;
  throw new EngineError(
    "unavailable",
    `${busyboxRepository} is made from the host's static busybox, but ${reason}`,
    {
      hint,
    },
  );
}

// ELF, gABI 4.1: a program header of this type names the dynamic loader.
const PT_INTERP = 3;

/** True for an ELF program that needs no dynamic loader. */
function isStaticElf(binary: Buffer): boolean {
  if (binary.length < 64 || binary.toString("latin1", 0, 4) !== "\x7fELF") return false;
  const is64 = binary[4] === 2;
  const little = binary[5] === 1;
  const half = (at: number): number => (little ? binary.readUInt16LE(at) : binary.readUInt16BE(at));
  const word = (at: number): number => (little ? binary.readUInt32LE(at) : binary.readUInt32BE(at));
  const long = (at: number): number =>
    Number(little ? binary.readBigUInt64LE(at) : binary.readBigUInt64BE(at));
  const start = is64 ? long(32) : word(28);
  const entryBytes = half(is64 ? 54 : 42);
  const count = half(is64 ? 56 : 44);
  if (count === 0 || start + count * entryBytes > binary.length) return false;
  for (let index = 0; index < count; index += 1)
    if (word(start + index * entryBytes) === PT_INTERP) return false;
  return true;
}

async function listApplets(path: string): Promise<string[]> {
  try {
    const { stdout } = await promisify(execFile)(path, ["--list"], { maxBuffer: 1024 * 1024 });
    const names = stdout.split("\n").filter((name) => /^[\w.[+-]+$/.test(name) && name !== "busybox");
    return [...new Set(names)].sort();
  } catch (error) {
    throw new EngineError("unavailable", `${path} --list failed: ${errorText(error)}`, {
      hint,
      cause: error,
    });
  }
}

const files: readonly (readonly [string, number, string])[] = [
  [
    "etc/group",
    0o644,
    "root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\ndisk:x:6:\nmail:x:8:\nwheel:x:10:root\nusers:x:100:\nwww-data:x:33:\nnogroup:x:65534:\n",
  ],
  [
    "etc/nsswitch.conf",
    0o644,
    "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\n",
  ],
  [
    "etc/passwd",
    0o644,
    "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nbin:x:2:2:bin:/bin:/bin/false\nsys:x:3:3:sys:/dev:/bin/false\nmail:x:8:8:mail:/var/spool/mail:/bin/false\nwww-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
  ],
  [
    "etc/profile",
    0o644,
    "export PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}\n",
  ],
  [
    "etc/services",
    0o644,
    "ftp 21/tcp\nssh 22/tcp\ndomain 53/tcp\ndomain 53/udp\nhttp 80/tcp\nntp 123/udp\nhttps 443/tcp\n",
  ],
  ["etc/shadow", 0o640, "root:*:::::::\ndaemon:*:::::::\nnobody:*:::::::\n"],
  ["etc/shells", 0o644, "/bin/sh\n"],
];

const directories: readonly (readonly [string, number])[] = [
  ["bin", 0o755],
  ["dev", 0o755],
  ["etc", 0o755],
  ["home", 0o755],
  ["proc", 0o755],
  ["root", 0o700],
  ["run", 0o755],
  ["sbin", 0o755],
  ["sys", 0o755],
  ["tmp", 0o1777],
  ["usr", 0o755],
  ["usr/bin", 0o755],
  ["usr/sbin", 0o755],
  ["var", 0o755],
  ["var/spool", 0o755],
  ["var/spool/mail", 0o755],
  ["var/tmp", 0o1777],
  ["var/www", 0o755],
];

function layerTar(binary: Buffer, applets: readonly string[]): Buffer {
  const parts: Buffer[] = [];
  const add = (entry: Omit<TarHeader, "sizeBytes" | "timeNs">, data: Buffer = Buffer.alloc(0)): void => {
    parts.push(
      tarHeader({ ...entry, sizeBytes: data.length, timeNs: createdNs }),
      data,
      tarPadding(data.length),
    );
  };
  const link = (name: string): void => add({ name, type: "link", mode: 0o755, linkName: "bin/busybox" });
  for (const [name, mode] of directories) add({ name: `${name}/`, type: "directory", mode });
  for (const [name, mode, text] of files) add({ name, type: "file", mode }, Buffer.from(text));
  add({ name: "bin/busybox", type: "file", mode: 0o755 }, binary);
  for (const applet of applets) link(`bin/${applet}`);
  // Scripts name this one by its path.
  link("usr/bin/env");
  parts.push(tarEnd());
  return Buffer.concat(parts);
}
