import type { Readable } from "node:stream";
import { packDirectory, PackedLinks } from "../container/pack-tree.ts";
import { textOf } from "../oci/tar-reader.ts";
import { tarEnd } from "../oci/tar-writer.ts";
import type { ChangeEntry } from "../wire/container.ts";
import { readableOf } from "./container-archive.ts";
import { type ContainerRoot, openContainerRoot } from "./container-root.ts";
import { emitContainer, type EngineContext } from "./context.ts";

/** Where every container has something mounted: the places for it are no changes of the container's. */
export const mountPlaces: ReadonlySet<string> = new Set(
  (
    "dev dev/console dev/mqueue dev/pts dev/shm etc/hostname etc/hosts etc/mtab etc/resolv.conf proc run/.containerenv " +
    "sys sys/fs/cgroup .dockerenv"
  ).split(" "),
);

const kinds = { modified: 0, added: 1, deleted: 2 } as const;

/** What the container's file system has that its image has not, and the other way round. */
export async function containerChanges(context: EngineContext, nameOrId: string): Promise<ChangeEntry[]> {
  const { id } = context.containers.resolve(nameOrId);
  return context.snapshotter
    .changes(id, mountPlaces)
    .changes.map(({ path, kind }) => ({ Path: `/${textOf(path)}`, Kind: kinds[kind] }));
}

/** The container's file system as a tar, without what is mounted into it. */
export async function containerExport(context: EngineContext, nameOrId: string): Promise<Readable> {
  const root = await openContainerRoot(context, nameOrId, { withoutMounts: true });
  emitContainer(context, root.container, "export");
  return readableOf(exported(root), root);
}

async function* exported({ fd, idMap }: ContainerRoot): AsyncGenerator<Buffer, void> {
  yield* packDirectory(fd, "", new PackedLinks(idMap));
  yield tarEnd();
}
