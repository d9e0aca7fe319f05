/**
 * Emulators that the kernel knows of (binfmt_misc). A registration is the kernel's, for all of the machine: a test that
 * makes one holds a lock, and the registration ends with the test's process, however that ends.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Emulation, emulationOf } from "../../src/build/emulators.ts";
import { mustRun, start } from "./process.ts";
import type { TestHost } from "./test-host.ts";

const place = "/proc/sys/fs/binfmt_misc";
/** One name for all: whoever holds the lock may remove what a machine that lost its power has left. */
const name = "gantry-test-emulator";
const lockPath = "/run/lock/gantry-test-emulator.lock";
/** As long as another run of the tests may take that has the lock. */
const lockTimeoutS = 600;
const readyTimeoutMs = 60_000;

/** Waits until no other process tests emulators. It ends with this process at the latest. */
export async function lockEmulators(): Promise<AsyncDisposable> {
  const script = `mkdir -p ${lockPath.replace(/\/[^/]*$/, "")} && exec flock -w ${lockTimeoutS} ${lockPath} sh -c 'echo ready; exec cat'`;
  return await openHolder(start(["sh", "-c", script], { input: "" }), (lockTimeoutS + 60) * 1000);
}

/** What the kernel has for an architecture, also where its list is not mounted. */
export async function registeredFor(architecture: string): Promise<Emulation> {
  const copy = await mkdtemp(join(tmpdir(), "gantry-emulators-"));
  const script = `[ -e ${place}/register ] || mount -t binfmt_misc binfmt_misc ${place}
    for entry in ${place}/*; do case $entry in */register) ;; *) cat "$entry" > "$1/\${entry##*/}";; esac; done`;
  try {
    await mustRun(["unshare", "-m", "--propagation", "private", "sh", "-ec", script, "sh", copy]);
    return emulationOf(architecture, copy);
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

export interface Registration {
  /** First bytes of the programs, and which bits of them count. */
  readonly magic: Uint8Array;
  readonly mask: Uint8Array;
  readonly emulator: string;
  readonly flags: string;
}

/**
 * Registers an emulator, and mounts the list for the host; both until it is disposed. Throws when either does not go
 * away. To be called with the lock.
 */
export async function registerEmulator(host: TestHost, registration: Registration): Promise<AsyncDisposable> {
  const text = (bytes: Uint8Array): string =>
    [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
  const { magic, mask, emulator, flags } = registration;
  // `:name:M::magic:mask:interpreter:flags` (Documentation/admin-guide/binfmt-misc.rst).
  const line = `:${name}:M::${text(magic)}:${text(mask)}:${emulator}:${flags}`;
  // Only the end of its input ends it, not what is sent to all of a terminal's processes.
  const script = `trap "" HUP INT TERM
    mounted=
    if ! [ -e ${place}/register ]; then mount -t binfmt_misc binfmt_misc ${place} && mounted=yes; fi
    if [ -e ${place}/${name} ]; then echo -1 > ${place}/${name}; fi
    printf %s "$1" > ${place}/register
    echo ready
    cat
    echo -1 > ${place}/${name}
    ! [ -e ${place}/${name} ]
    if [ -n "$mounted" ]; then umount ${place}; fi`;
  return await openHolder(host.start(["sh", "-ec", script, "sh", line], { input: "" }), readyTimeoutMs);
}

/** A process that says `ready`, and undoes what it has done at the end of its input, which is a pipe of ours. */
async function openHolder(holder: ReturnType<typeof start>, timeoutMs: number): Promise<AsyncDisposable> {
  await holder.waitForOutput(/^ready$/m, timeoutMs);
  return {
    async [Symbol.asyncDispose]() {
      const { stdin, exitCode } = holder.process;
      if (exitCode !== null) throw new Error(`ended too early: ${holder.stderr()}`);
      stdin?.end();
      const { code, stderr } = await holder.wait();
      if (code !== 0) throw new Error(`exited with ${code}: ${stderr}`);
    },
  };
}
