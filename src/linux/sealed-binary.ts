/**
 * Programs held in sealed memory (memfd_create(2), F_ADD_SEALS of fcntl(2)).
 *
 * OCI runtimes must not be run from a file that a container could reach through /proc/self/exe and overwrite
 * (CVE-2019-5736). Each start of crun or runc therefore first copies or bind-mounts its own binary and runs that. From
 * memory that nobody can write to any more they see that there is nothing to do: several milliseconds less a start.
 */
import { closeSync, readFileSync, statSync, writeSync } from "node:fs";
import { fcntl, libc } from "./libc.ts";

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE: what the runtimes look for. */
const allSeals = 0xf;
const elfMagic = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);

const memfdCreate = libc.func("int memfd_create(str name, unsigned int flags)");

interface Sealed {
  readonly fd: number;
  readonly path: string;
  /** Changes when a package upgrade replaces the file. */
  readonly version: string;
}

function seal(path: string): number | undefined {
  const fd = memfdCreate(path.slice(path.lastIndexOf("/") + 1), MFD_CLOEXEC | MFD_ALLOW_SEALING) as number;
  if (fd < 0) return undefined;
  try {
    const data = readFileSync(path);
    // A script would be run by an interpreter that cannot open what is close-on-exec.
    if (!data.subarray(0, 4).equals(elfMagic)) throw new Error("not an ELF binary");
    for (let offset = 0; offset < data.length;) offset += writeSync(fd, data, offset);
    if (fcntl(fd, F_ADD_SEALS, allSeals) === 0) return fd;
  } catch {
    // No memory for it, or no binary: the file itself will do.
  }
  closeSync(fd);
  return undefined;
}

/** Sealed copies of programs, kept as long as this process lives. */
export class SealedBinaries implements Disposable {
  readonly #binaries = new Map<string, Sealed>();

  /**
   * A path that runs the program `path` from sealed memory, for children of this process and theirs while it lives.
   * `path` itself when the kernel does not do that, or it is a script. A program that was removed meanwhile (its package is
   * being exchanged) runs on from memory.
   */
  executable(path: string): string {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return this.#binaries.get(path)?.path ?? path;
    const version = `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeMs}:${stat.ctimeMs}`;
    const known = this.#binaries.get(path);
    if (known?.version === version) return known.path;
    if (known !== undefined && known.fd >= 0) closeSync(known.fd);
    const fd = seal(path);
    const sealed: Sealed =
      fd === undefined ? { fd: -1, path, version } : { fd, path: `/proc/${process.pid}/fd/${fd}`, version };
    this.#binaries.set(path, sealed);
    return sealed.path;
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#binaries.values()) if (fd >= 0) closeSync(fd);
    this.#binaries.clear();
  }
}
