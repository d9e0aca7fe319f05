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

/**
 * What the container's file system has that its image has not, and the other way round. As with Docker a directory in which
 * something changed is itself a change, however deep below.
 */
export async function containerChanges(context: EngineContext, nameOrId: string): Promise<ChangeEntry[]> {
  const { id } = context.containers.resolve(nameOrId);
  const { changes } = context.snapshotter.changes(id, mountPlaces);
  const entries: ChangeEntry[] = [];
  const told = new Set<string>();
  const tell = (path: string, kind: keyof typeof kinds): void => {
    told.add(path);
    entries.push({ Path: `/${textOf(path)}`, Kind: kinds[kind] });
  };
  for (const { path, kind } of changes) {
    for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1))
      if (!told.has(path.slice(0, at))) tell(path.slice(0, at), "modified");
    tell(path, kind);
  }
  return entries;
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
