/**
 * Mounts that the OCI runtime cannot make from a path: a directory inside of a volume, whose links must not lead out of it,
 * and an image. They are made in the container's bundle before its start, and the runtime binds them from there.
 */
import { closeSync, fstatSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errorText, invalidArgument } from "../base/errors.ts";
import type { ContainerRecord } from "../container/container.ts";
import { bindDescriptor, bindIdmapped } from "../linux/detached-mount.ts";
import { mount } from "../linux/mount.ts";
import { openInRoot } from "../linux/resolve-in-root.ts";
import { O_PATH } from "../linux/tree-fd.ts";
import type { MountPoint } from "../wire/container.ts";
import { labelledMounts } from "./container-labels.ts";
import type { EngineContext } from "./context.ts";
import { mountRemapped } from "./remapped.ts";

/** As clients see mount points. */
export function shownMounts(mounts: readonly MountPoint[]): MountPoint[] {
  return mounts.map((mount) => {
    const shown = { ...mount };
    delete shown.Subpath;
    return shown;
  });
}

/**
 * Makes the mounts that need it below `directory`. Returns the record's mount points with the places where they are now.
 * What was made stays when it throws: {@link unmountAll} is the undo. Throws `invalidArgument` for a path that is not
 * there, `notFound` for an image that is gone.
 */
export function prepareMounts(
  context: EngineContext,
  container: ContainerRecord,
  directory: string,
  ownersFd?: number,
): MountPoint[] {
  return container.mounts.map((point, index) => {
    const { Subpath: subpath = "" } = point;
    const isMapped = ownersFd !== undefined && point.Type === "volume";
    if (point.Type !== "image" && subpath === "" && !isMapped) return point;
    let source = point.Source;
    if (isMapped) source = mapOwners(point.Source, join(directory, `mapped-${index}`), ownersFd);
    if (point.Type === "image") {
      source = join(directory, `image-${index}`);
      mountImage(context, point, source, { ownersFd, mountLabel: container.mountLabel });
    }
    if (subpath === "") return { ...point, Source: source };
    const target = join(directory, `part-${index}`);
    bindSubpath(source, subpath, target);
    return { ...point, Source: target };
  });
}

/** Binds a volume with its owners seen through the container's user namespace. */
function mapOwners(source: string, target: string, ownersFd: number): string {
  mkdirSync(target, { recursive: true, mode: 0o711 });
  bindIdmapped(source, target, ownersFd);
  return target;
}

/** An image's layers, which nobody can write to. */
function mountImage(
  context: EngineContext,
  { Source }: MountPoint,
  target: string,
  {
    ownersFd,
    mountLabel,
  }: { readonly ownersFd: number | undefined; readonly mountLabel: string | undefined },
): void {
  const { chainId } = context.images.resolve(Source);
  mkdirSync(target, { recursive: true, mode: 0o711 });
  if (chainId === undefined) return;
  const layers = labelledMounts(context.snapshotter.mounts(chainId), mountLabel);
  if (ownersFd !== undefined) mountRemapped(layers, target, { ownersFd, isContainer: false });
  else for (const layer of layers) mount(layer, target);
}

function bindSubpath(root: string, subpath: string, target: string): void {
  let fd: number;
  try {
    fd = openInRoot(root, subpath, O_PATH);
  } catch (error) {
    throw invalidArgument(`cannot access path ${join(root, subpath)}: ${errorText(error)}`, { cause: error });
  }
  try {
    if (fstatSync(fd).isDirectory()) mkdirSync(target, { recursive: true, mode: 0o711 });
    else {
      mkdirSync(join(target, ".."), { recursive: true, mode: 0o711 });
      writeFileSync(target, "", { mode: 0o600 });
    }
    bindDescriptor(fd, target);
  } finally {
    closeSync(fd);
  }
}
