import { EngineError, invalidArgument } from "../base/errors.ts";
import { diskUsage as bytesOf } from "../snapshot/usage.ts";
import type { ContainerSummary } from "../wire/container.ts";
import type { ImageSummary } from "../wire/image.ts";
import type { DiskUsage, VolumeUsage } from "../wire/disk-usage.ts";
import type { EngineContext } from "./context.ts";
import type { Engine } from "./engine.ts";

const kinds = new Set(["container", "image", "volume", "build-cache"]);

/** How much room images, containers and volumes take. Without `types` all of them. Throws `invalidArgument`. */
export async function diskUsage(
  context: EngineContext,
  engine: Pick<Engine, "imageList" | "containerList">,
  types: readonly string[],
): Promise<DiskUsage> {
  for (const type of types) if (!kinds.has(type)) throw invalidArgument(`unknown object type: ${type}`);
  const wants = (type: string): boolean => types.length === 0 || types.includes(type);
  return {
    layerBytes: wants("image") ? await layerBytes(context) : undefined,
    images: wants("image") ? await images(engine) : undefined,
    containers: wants("container") ? await containers(engine) : undefined,
    volumes: wants("volume") ? await volumes(context) : undefined,
    hasBuildCache: wants("build-cache"),
  };
}

function images(engine: Pick<Engine, "imageList">): Promise<ImageSummary[]> {
  return engine.imageList({ all: false, filters: new Map(), sharedSize: true });
}

function containers(engine: Pick<Engine, "containerList">): Promise<ContainerSummary[]> {
  return engine.containerList({ all: true, limit: 0, size: true, filters: new Map() });
}

async function layerBytes(context: EngineContext): Promise<number> {
  let total = 0;
  for (const { key, kind } of context.snapshotter.list())
    if (kind === "committed") total += (await context.snapshotter.usage(key)).sizeBytes;
  return total;
}

async function volumes(context: EngineContext): Promise<VolumeUsage[]> {
  const found: VolumeUsage[] = [];
  for (const volume of (await context.volumes.list()).volumes) {
    // As with Docker: what another driver has, or is mounted from elsewhere, is not this data root's room.
    if (volume.Driver !== "local" || Object.keys(volume.Options ?? {}).length > 0) continue;
    const RefCount = context.containers
      .list()
      .filter(({ mounts }) => mounts.some(({ Name }) => Name === volume.Name)).length;
    found.push({ ...volume, UsageData: { Size: await sizeOf(volume.Mountpoint), RefCount } });
  }
  return found;
}

/** -1 when it was removed meanwhile. */
async function sizeOf(directory: string): Promise<number> {
  try {
    return (await bytesOf(directory)).sizeBytes;
  } catch (error) {
    if (error instanceof EngineError) return -1;
    throw error;
  }
}
