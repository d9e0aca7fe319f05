import {
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { conflict, EngineError, errorText, invalidArgument } from "../base/errors.ts";
import { crashpoint } from "../base/failpoint.ts";
import { log } from "../base/log.ts";
import { asMachineFault } from "../base/machine-fault.ts";
import { isErrno, withFileErrors } from "../linux/fs-error.ts";
import { isMountPoint, mount, mountsOn, unmount } from "../linux/mount.ts";
import { clearProjectQuota, hasProjectQuota, projectOf, setProjectQuota } from "../linux/project-quota.ts";
import { runProcess } from "../linux/spawn.ts";
import type { VolumeInspect } from "../wire/volume.ts";
import { answerTimeoutMs, requireAnswerAt } from "./answer.ts";
import type { DriverVolume, VolumeDriver } from "./driver.ts";
import {
  checkLocalOptions,
  type LocalOptions,
  mountArguments,
  needsMount,
  quotaBytes,
  withoutPassword,
} from "./local-options.ts";

export const volumeNameForm = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
/** Beside the volumes: files of removed ones that are not deleted yet, and notes of which are being removed. No volume's name. */
const doomedPrefix = ".removing-";
const notePrefix = ".removed-";

/** A server that is away makes mount(2) wait. */
const networkMountTimeoutMs = 120_000;
const unmountPollMs = 20;
const networkTypes = /^(nfs4?|cifs|smb3|ceph|glusterfs|9p)$/;

/**
 * Volumes as directories `<root>/<name>/_data`. With options something is mounted there from the first use to the last.
 */
export class LocalDriver implements VolumeDriver {
  readonly name = "local";
  /** Directories of removed volumes that are not deleted yet, and the volumes' names. */
  readonly #doomed = new Map<string, string>();
  readonly #root: string;
  readonly #answerTimeoutMs: number;

  constructor(root: string, timeoutMs = answerTimeoutMs) {
    this.#root = root;
    this.#answerTimeoutMs = timeoutMs;
    mkdirSync(root, { recursive: true, mode: 0o701 });
  }

  async scope(): Promise<"local"> {
    return "local";
  }

  pathOf(name: string): string {
    return join(this.#root, name, "_data");
  }

  async create(name: string, options: LocalOptions): Promise<void> {
    if (Buffer.byteLength(name) === 1)
      throw invalidArgument(
        `create ${name}: volume name is too short, names should be at least two alphanumeric characters`,
      );
    if (!volumeNameForm.test(name))
      throw invalidArgument(
        `create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
      );
    try {
      checkLocalOptions(options, () => hasProjectQuota(this.#root));
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      const more = error.hint === undefined ? {} : { hint: error.hint };
      throw invalidArgument(`create ${name}: ${error.message}`, { cause: error, ...more });
    }
    const path = join(this.#root, name);
    withFileErrors(`create volume ${name}`, () => {
      mkdirSync(path, { mode: 0o701 });
      crashpoint("volume-create.directory");
      try {
        mkdirSync(join(path, "_data"), { mode: 0o755 });
        const sizeBytes = quotaBytes(options);
        if (sizeBytes > 0) setProjectQuota(join(path, "_data"), this.#freeProject(), sizeBytes);
      } catch (error) {
        rmSync(path, { recursive: true, force: true });
        throw error;
      }
    });
  }

  /** One above the highest project of any volume, and above that of the root. */
  #freeProject(): number {
    const projects = readdirSync(this.#root)
      // What a file system of its own has mounted on it has no project of this one, and may not answer.
      .filter((name) => this.#isThere(name) && !isMountPoint(this.pathOf(name)))
      .map((name) => projectOf(this.pathOf(name)));
    return Math.max(projectOf(this.#root), ...projects) + 1;
  }

  /** By the directory's listing: what is mounted on it may not answer. */
  #isThere(name: string): boolean {
    return hasVolumeDirectory(join(this.#root, name));
  }

  async get(name: string): Promise<DriverVolume | undefined> {
    if (!this.#isThere(name)) return undefined;
    return { name, mountpoint: this.pathOf(name), createdAt: "", status: undefined };
  }

  async list(): Promise<DriverVolume[]> {
    const found = await Promise.all(readdirSync(this.#root).map((name) => this.get(name)));
    return found.filter(
      (volume) => volume !== undefined && volumeNameForm.test(volume.name),
    ) as DriverVolume[];
  }

  async mount(volume: VolumeInspect): Promise<string> {
    const path = this.pathOf(volume.Name);
    if (!this.#isThere(volume.Name))
      throw new EngineError("internal", `error while mounting volume '${path}': its directory is not there`, {
        hint: `Bring it back (is the file system of ${this.#root} mounted?), or remove the volume and make it anew.`,
      });
    if (!needsMount(volume.Options)) return path;
    if (isMountPoint(path)) {
      await this.requireAnswer(volume, `error while mounting volume '${path}': `);
      return path;
    }
    const { device, type, words } = await this.#arguments(path, volume.Options ?? {});
    try {
      if (networkTypes.test(type)) await mountFromNetwork({ device, type, words, path });
      else mount({ type, source: device, options: words }, path);
    } catch (error) {
      // Not "notFound" for a source that is not there: clients would take the image for missing.
      const kind = error instanceof EngineError && error.kind !== "notFound" ? error.kind : "internal";
      throw new EngineError(
        kind,
        `error while mounting volume '${path}': failed to mount local volume: mount ${device}:${path}, type: ${type}, data: ${withoutPassword(words)}: ${reasonOf(error)}`,
        { cause: error },
      );
    }
    return path;
  }

  async #arguments(path: string, options: LocalOptions): ReturnType<typeof mountArguments> {
    try {
      return await mountArguments(options);
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      const message = `error while mounting volume '${path}': ${error.message}`;
      throw new EngineError(error.kind, message, { cause: error });
    }
  }

  /** Of what is mounted from elsewhere. Throws `unavailable`, with `what` before its reason. */
  async requireAnswer(volume: VolumeInspect, what: string): Promise<void> {
    const path = this.pathOf(volume.Name);
    if (!isFromNetwork(volume.Options) || !isMountPoint(path)) return;
    const server = "the server of what is mounted there";
    await requireAnswerAt({ path, what, server, timeoutMs: this.#answerTimeoutMs });
  }

  async unmount(volume: VolumeInspect, _user: string, isLast: boolean): Promise<void> {
    if (!isLast || !needsMount(volume.Options)) return;
    const path = this.pathOf(volume.Name);
    if (isFromNetwork(volume.Options)) await unmountFromNetwork(path);
    else unmount(path);
  }

  async remove(volume: VolumeInspect): Promise<void> {
    const { Name: name } = volume;
    const path = this.pathOf(name);
    // What is mounted there is not the volume's to delete.
    if (isFromNetwork(volume.Options)) await unmountFromNetwork(path);
    else if (needsMount(volume.Options)) while (unmount(path));
    if (isMountPoint(path))
      throw conflict(`remove ${name}: something is mounted on ${path}: unmount it, then remove the volume`);
    if (quotaBytes(volume.Options) > 0 && existsSync(path)) clearProjectQuota(path, projectOf(path));
    // Renamed first: a volume of that name may be made again while the old files go.
    const doomed = join(this.#root, `${doomedPrefix}${randomBytes(6).toString("hex")}`);
    try {
      renameSync(join(this.#root, name), doomed);
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw removalError(name, error);
    }
    this.#doomed.set(doomed, name);
    crashpoint("volume-remove.renamed");
    this.#deleteDoomed(name);
  }

  /**
   * Notes that a volume is being removed, until that is disposed of: a record whose directory is gone is forgotten for no
   * other reason. A file system on which nothing can be noted any more has volumes removed all the same.
   */
  noteRemoval(name: string): Disposable {
    const note = join(this.#root, `${notePrefix}${randomBytes(6).toString("hex")}`);
    try {
      symlinkSync(name, note);
    } catch (error) {
      log.debug("the removal of a volume is not noted", { volume: name, error: errorText(error) });
    }
    return { [Symbol.dispose]: () => rmSync(note, { force: true }) };
  }

  /** Names of volumes whose removal was cut off; the notes of it go. */
  takeRemovalNotes(): Set<string> {
    const names = new Set<string>();
    for (const entry of readdirSync(this.#root).filter((each) => each.startsWith(notePrefix))) {
      const note = join(this.#root, entry);
      try {
        names.add(readlinkSync(note));
      } catch {
        // It is none.
        continue;
      }
      rmSync(note, { force: true });
    }
    return names;
  }

  /**
   * Deletes what is left of removed volumes: also what an earlier removal could not, for whoever tries that one again finds
   * no volume of its name. Throws for what was of `name` alone.
   */
  #deleteDoomed(name: string): void {
    let failure: EngineError | undefined;
    for (const [directory, owner] of this.#doomed) {
      try {
        rmSync(directory, { recursive: true, force: true });
        this.#doomed.delete(directory);
      } catch (error) {
        if (owner === name) failure ??= removalError(name, error);
        else log.warn(`files of the removed volume ${owner} are still there`, { error: errorText(error) });
      }
    }
    if (failure !== undefined) throw failure;
  }
}

/** Not a `conflict`, whatever the errno: that is a volume that somebody uses. */
function removalError(name: string, error: unknown): EngineError {
  const fault = asMachineFault(error);
  const [kind, hint] = fault instanceof EngineError ? [fault.kind, fault.hint] : (["internal"] as const);
  return new EngineError(kind, `remove ${name}: ${errorText(error)}`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** True when `path`, of a volume, has the directory for its files. Asks nothing of what is mounted on that. */
export function hasVolumeDirectory(path: string): boolean {
  try {
    return readdirSync(path).includes("_data");
  } catch {
    return false;
  }
}

/** What of a removed volume, or of its removal, is left beside the volumes. */
export const isRemovalLeftover = (name: string): boolean =>
  name.startsWith(doomedPrefix) || name.startsWith(notePrefix);

/** Removes what a creation that was cut off has made, an empty directory. False for everything else, which stays. */
export function removeEmptyVolume(path: string): boolean {
  try {
    if (hasVolumeDirectory(path)) rmdirSync(join(path, "_data"));
    rmdirSync(path);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return true;
    if (isErrno(error, "ENOTDIR", "ENOTEMPTY", "EEXIST", "EBUSY")) return false;
    throw error;
  }
}

/** True when `path`, of a volume, holds files, or something is mounted on it: that is never asked, it may not answer. */
export function holdsData(path: string): boolean {
  const data = join(path, "_data");
  try {
    return isMountPoint(data) || readdirSync(data).length > 0;
  } catch {
    return false;
  }
}

/** What the kernel said, without what this side says anyway. */
function reasonOf(error: unknown): string {
  return errorText(error).replace(/^mount \S+ on \S+: /, "");
}

interface NetworkMount {
  readonly device: string;
  readonly type: string;
  readonly words: readonly string[];
  readonly path: string;
}

/** By mount(8), which may wait for its server as long as it likes: the daemon does not wait with it. Needs no mount.nfs. */
async function mountFromNetwork({ device, type, words, path }: NetworkMount): Promise<void> {
  const options = words.length > 0 ? ["-o", words.join(",")] : [];
  const { code, stderr } = await runProcess({
    path: "/usr/bin/mount",
    argv: ["mount", "-i", "-t", type, ...options, device, path],
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    timeoutMs: networkMountTimeoutMs,
  });
  if (code === 0) return;
  if (code === undefined)
    throw new EngineError(
      "unavailable",
      `no answer from the server within ${networkMountTimeoutMs / 1000} seconds`,
    );
  throw new EngineError("unavailable", reasonOfMount(stderr, path));
}

const isFromNetwork = (options: LocalOptions | null): boolean => networkTypes.test(options?.["type"] ?? "");

/**
 * By umount(8): the path is free at once, but with the last mount of a file system whoever unmounts it waits until the
 * kernel has written what it has of its files, which is as long as the server is away. That process is not waited for.
 */
async function unmountFromNetwork(path: string): Promise<void> {
  // Somebody may have mounted another over it.
  for (let count = mountsOn(path); count > 0; count = mountsOn(path)) await unmountTopmost(path, count);
}

async function unmountTopmost(path: string, count: number): Promise<void> {
  const unmounting = runProcess({
    path: "/usr/bin/env",
    // Without a look at the path, which would ask the server.
    argv: ["env", "umount", "--internal-only", "--no-canonicalize", "--lazy", path],
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    timeoutMs: networkMountTimeoutMs,
  });
  const ended = unmounting.then(({ stderr }) => stderr.trim());
  ended.catch(() => {});
  const isThere = (): boolean => mountsOn(path) >= count;
  for (let said: string | undefined; said === undefined && isThere();)
    said = await Promise.race([ended, sleep(unmountPollMs, undefined)]);
  if (isThere())
    throw new EngineError("internal", `unmount ${path}: ${(await ended) || "it is still mounted"}`);
}

/** What mount(8) makes of a refusal that is about a disk, and is not of a server, and what the kernel had said. */
const misleading: readonly (readonly [RegExp, string])[] = [
  [/^cannot mount .* read-only|is write-protected/, "permission denied"],
  [/^special device .* does not exist/, "no such file or directory"],
  [/^mount\(2\) system call failed: /, ""],
];

/** The reason in what mount(8) wrote, in the kernel's words. */
export function reasonOfMount(stderr: string, path: string): string {
  const said = stderr.trim().split("\n")[0]!.replace(`mount: ${path}: `, "");
  const [pattern, reason] = misleading.find(([known]) => known.test(said)) ?? [];
  return pattern === undefined ? said : reason || said.replace(pattern, "");
}
