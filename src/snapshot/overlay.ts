/**
 * The overlay driver: each layer in a directory of its own, put on top of each other by overlayfs (kernel documentation,
 * filesystems/overlayfs).
 *
 * Beside the shared directories there is `l/`, with one short symbolic link a layer (`l/a7 -> ../layers/<hex>/diff`):
 * mount(2) takes one page of options, and a deep image has more than a hundred layers to name in it.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { invalidArgument } from "../base/errors.ts";
import { withFileErrors } from "../linux/fs-error.ts";
import { pathBytes, setTimes } from "../linux/inode.ts";
import type { Mount } from "../linux/mount.ts";
import { parseDigest } from "../oci/digest.ts";
import { byteStringOf } from "../oci/tar-reader.ts";
import { type UnpackResult, unpackLayer } from "./apply.ts";
import { type LayerChange, overlayChanges } from "./changes.ts";
import { LayerApplier, type LayerRequest } from "./layer-applier.ts";
import { overlayStatus } from "./overlay-probe.ts";
import type { ApplyResult, SnapshotInfo, Snapshotter } from "./snapshot.ts";
import { type LayerRecord, SnapshotStore } from "./snapshot-store.ts";
import { diskUsage } from "./usage.ts";

/** Of that page, kept for a container's SELinux label, which whoever mounts the layers adds (`,context="…"`). */
const labelOptionBytes = 256;

/** What mount(2) takes as data, with its NUL. All supported architectures have at least this page size. */
const maxOptionBytes = 4095 - labelOptionBytes;
const linkDigits = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/**
 * Features that change what is in the upper directory, off whatever the kernel's default: then a container's changes can
 * be read from there.
 */
const fixedOptions = ["index=off", "redirect_dir=off", "metacopy=off"];

/** overlayfs's escape for what separates options and directories. */
const escapePath = (path: string): string => path.replace(/[\\:,]/g, "\\$&");

export interface OverlayOptions {
  /** Docker's name of the driver. */
  readonly name?: string;
  /** Who puts the layers together: the kernel, or a program (see `fuse-overlay.ts`). */
  readonly mountType?: string;
  /** Why this driver, for `info`. */
  readonly reason?: string;
}

export class OverlaySnapshotter implements Snapshotter {
  readonly name: string;
  readonly #mountType: string;
  readonly #reason: string | undefined;
  readonly #store: SnapshotStore;
  readonly #applier: LayerApplier;
  readonly #links: Set<string>;
  /** An open descriptor of `l/`, for stacks so deep that even short absolute paths are too long. */
  #linksFd: number | undefined;

  /** `root` must be able to hold overlay mounts: see `probeOverlay`. */
  constructor(root: string, options: OverlayOptions = {}) {
    this.name = options.name ?? "overlay2";
    this.#mountType = options.mountType ?? "overlay";
    this.#reason = options.reason;
    this.#store = new SnapshotStore(root);
    withFileErrors(`open the snapshots in ${root}`, () =>
      mkdirSync(join(root, "l"), { recursive: true, mode: 0o700 }),
    );
    this.#links = new Set(readdirSync(join(root, "l")));
    this.#applier = new LayerApplier(this.#store, {
      unpack: (directory, parent, tar) => this.#unpack(directory, parent, tar),
      finish: (_directory, chainId) => ({ link: this.#makeLink(chainId) }),
      undoFinish: ({ link }) => this.#removeLink(link),
    });
  }

  status(): [string, string][] {
    return [
      ...overlayStatus(this.#store.root),
      ...(this.#reason === undefined ? [] : [["Chosen Because", this.#reason] satisfies [string, string]]),
    ];
  }

  applyLayer(layer: LayerRequest): Promise<ApplyResult> {
    return this.#applier.apply(layer);
  }

  has(key: string): boolean {
    return this.#store.has(key);
  }

  list(): SnapshotInfo[] {
    return this.#store.list();
  }

  freeBytes(): number {
    return this.#store.freeBytes();
  }

  prepare(key: string, parent: string | undefined): void {
    this.#store.prepare(key, parent, (directory) => {
      this.#makeDiff(directory, parent);
      mkdirSync(join(directory, "work"), { mode: 0o700 });
    });
  }

  mounts(key: string): Mount[] {
    const { kind, parent } = this.#store.info(key);
    const diff = join(this.#store.directory(key), "diff");
    if (kind === "active" && parent === undefined)
      return [{ type: "bind", source: diff, options: ["bind", "rw"] }];
    if (kind === "committed" && parent === undefined)
      return [{ type: "bind", source: diff, options: ["bind", "ro"] }];
    const upper =
      kind === "active"
        ? [`upperdir=${escapePath(diff)}`, `workdir=${escapePath(join(this.#store.directory(key), "work"))}`]
        : ["ro"];
    const options = [...(this.#mountType === "overlay" ? fixedOptions : []), ...upper];
    const layers = this.#store.stack(kind === "active" ? parent : key);
    const budget = maxOptionBytes - options.join(",").length - ",lowerdir=".length;
    return [
      {
        type: this.#mountType,
        source: "overlay",
        options: [`lowerdir=${this.#lowerDirectories(layers, budget)}`, ...options],
      },
    ];
  }

  #lowerDirectories(layers: readonly LayerRecord[], budgetBytes: number): string {
    const join1 = (base: string): string => layers.map(({ link }) => `${base}/${link}`).join(":");
    const plain = join1(escapePath(join(this.#store.root, "l")));
    if (Buffer.byteLength(plain) <= budgetBytes) return plain;
    this.#linksFd ??= openSync(join(this.#store.root, "l"), constants.O_RDONLY | constants.O_DIRECTORY);
    const short = join1(`/proc/self/fd/${this.#linksFd}`);
    if (short.length <= budgetBytes) return short;
    throw invalidArgument(
      `the image has ${layers.length} layers, more than one overlay mount can name; flatten it (export, then import)`,
    );
  }

  graphData(key: string): Record<string, string> {
    const directory = this.#store.directory(key);
    const lowers = this.#lowersOf(this.#store.info(key).parent);
    return {
      ...(lowers.length === 0 ? {} : { LowerDir: lowers.join(":") }),
      UpperDir: join(directory, "diff"),
      WorkDir: join(directory, "work"),
    };
  }

  async usage(key: string): Promise<{ sizeBytes: number; inodes: number }> {
    const layer = this.#store.layer(key);
    if (layer !== undefined) return { sizeBytes: layer.sizeBytes, inodes: layer.inodes };
    return diskUsage(join(this.#store.directory(key), "diff"));
  }

  changes(key: string, hidden: ReadonlySet<string>): { directory: string; changes: LayerChange[] } {
    const directory = join(this.#store.directory(key), "diff");
    const lowers = this.#lowersOf(this.#store.info(key).parent);
    return { directory, changes: overlayChanges(directory, lowers.map(byteStringOf), hidden) };
  }

  unpackInto(key: string, tar: AsyncIterable<Uint8Array>): Promise<UnpackResult> {
    const { parent } = this.#store.info(key);
    const root = join(this.#store.directory(key), "diff");
    return unpackLayer(tar, { root, form: "overlay", lowers: this.#lowersOf(parent) });
  }

  async commit(key: string, layer: { chainId: string; diffId: string }, usage?: UnpackResult): Promise<void> {
    const strip = (directory: string): void =>
      rmSync(join(directory, "work"), { recursive: true, force: true });
    await this.#applier.commit(key, layer, { ...(usage ?? (await this.usage(key))), strip });
  }

  flush(chainIds: readonly string[]): Promise<void> {
    return this.#store.flush(chainIds);
  }

  remove(key: string): void {
    const link = this.#store.layer(key)?.link;
    this.#store.remove(key);
    this.#removeLink(link);
  }

  setAside(chainId: string, path: string): void {
    const link = this.#store.layer(chainId)?.link;
    this.#store.setAside(chainId, path);
    this.#removeLink(link);
  }

  relink(chainId: string): void {
    const link = this.#store.layer(chainId)?.link;
    if (link === undefined) return;
    const path = join(this.#store.root, "l", link);
    rmSync(path, { force: true, recursive: true });
    symlinkSync(`../layers/${parseDigest(chainId).hex}/diff`, path);
    this.#links.add(link);
  }

  unattached(): string[] {
    return this.#store.unattached();
  }

  attach(key: string, parent: string | undefined): void {
    this.#store.attach(key, parent);
  }

  sweep(): void {
    this.#store.sweep();
    const used = new Set(this.#store.list().map(({ key }) => this.#store.layer(key)?.link));
    for (const link of this.#links) if (!used.has(link)) this.#removeLink(link);
  }

  idle(): Promise<void> {
    return this.#store.idle();
  }

  /** Gives back the descriptor that deep stacks needed. Mounts made before go on. */
  [Symbol.dispose](): void {
    if (this.#linksFd !== undefined) closeSync(this.#linksFd);
    this.#linksFd = undefined;
  }

  #lowersOf(parent: string | undefined): string[] {
    return this.#store.stack(parent).map(({ chainId }) => join(this.#store.directory(chainId), "diff"));
  }

  async #unpack(
    directory: string,
    parent: string | undefined,
    tar: AsyncIterable<Uint8Array>,
  ): Promise<UnpackResult> {
    const diff = this.#makeDiff(directory, parent);
    return unpackLayer(tar, { root: diff, form: "overlay", lowers: this.#lowersOf(parent) });
  }

  /** The topmost directory is what a container sees as `/`: it looks like the one below until a layer says otherwise. */
  #makeDiff(directory: string, parent: string | undefined): string {
    const diff = join(directory, "diff");
    mkdirSync(diff, { mode: 0o755 });
    const below =
      parent === undefined
        ? undefined
        : statSync(join(this.#store.directory(parent), "diff"), { bigint: true });
    if (below !== undefined) chownSync(diff, Number(below.uid), Number(below.gid));
    chmodSync(diff, below === undefined ? 0o755 : Number(below.mode & 0o7777n));
    if (below !== undefined) setTimes(pathBytes(diff), below.mtimeNs);
    return diff;
  }

  /** Takes the shortest free name. */
  #makeLink(chainId: string): string {
    for (let index = 0; ; index += 1) {
      let name = "";
      for (let rest = index; rest >= 0; rest = Math.floor(rest / linkDigits.length) - 1)
        name = linkDigits[rest % linkDigits.length]! + name;
      if (this.#links.has(name)) continue;
      symlinkSync(`../layers/${parseDigest(chainId).hex}/diff`, join(this.#store.root, "l", name));
      this.#links.add(name);
      return name;
    }
  }

  #removeLink(link: string | undefined): void {
    if (link === undefined) return;
    rmSync(join(this.#store.root, "l", link), { force: true });
    this.#links.delete(link);
  }
}
