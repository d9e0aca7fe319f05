import type { BuildCacheRecord } from "../../build/build-cache.ts";
import {
  type BuildCacheUsage,
  buildCacheUsage,
  containerUsage,
  type DiskUsage,
  type DiskUsageResponse,
  imageUsage,
  type VolumeUsage,
  volumeUsage,
} from "../../wire/disk-usage.ts";
import type { ContainerSummary } from "../../wire/container.ts";
import type { ImageSummary } from "../../wire/image.ts";
import { shapeContainerSummary, shapeImageSummary, shapeVolume } from "../shape.ts";
import type { Exchange, Route } from "../exchange.ts";

function usageOf(record: BuildCacheRecord): BuildCacheUsage {
  return {
    ID: record.id,
    Parents: record.parents.length === 0 ? null : [...record.parents],
    Type: record.type,
    Description: record.description,
    InUse: record.inUse,
    Shared: record.shared,
    Size: record.sizeBytes,
    CreatedAt: record.createdAt,
    LastUsedAt: record.lastUsedAt ?? null,
    UsageCount: record.usageCount,
  };
}

/** Before API version 1.42 a record had one parent. */
function shaped(record: BuildCacheUsage, apiMinor: number): BuildCacheUsage {
  if (apiMinor >= 42) return record;
  const { Parents, ...rest } = record;
  return { ...rest, Parent: Parents?.[0] ?? "" };
}

/** What was not asked for is null, until 1.52 leaves it out. */
const none = (apiMinor: number): DiskUsageResponse =>
  apiMinor < 52 ? { LayersSize: 0, Images: null, Containers: null, Volumes: null, BuildCache: null } : {};

/** Each list as the version's own list of that kind has it. */
function lists(x: Exchange, usage: DiskUsage, cache: readonly BuildCacheUsage[]): DiskUsageResponse {
  const { images, containers, volumes, layerBytes = 0, hasBuildCache } = usage;
  const { apiMinor } = x;
  return {
    ...none(apiMinor),
    ...(images && {
      LayersSize: layerBytes,
      // Here each image says how many containers have it in every version.
      Images: images.map((image) => ({
        ...(shapeImageSummary(image, apiMinor) as unknown as ImageSummary),
        Containers: image.Containers,
      })),
    }),
    ...(containers && {
      Containers: containers.map(
        (container) => shapeContainerSummary(container, apiMinor) as unknown as ContainerSummary,
      ),
    }),
    ...(volumes && { Volumes: volumes.map((volume) => shapeVolume(volume) as unknown as VolumeUsage) }),
    ...(hasBuildCache && { BuildCache: cache.map((record) => shaped(record, apiMinor)) }),
  };
}

async function diskUsage(x: Exchange): Promise<void> {
  const types = x.apiMinor >= 42 ? x.query.all("type") : [];
  const usage = await x.engine.diskUsage(types);
  const { images, containers, volumes, layerBytes = 0, hasBuildCache } = usage;
  const cache = hasBuildCache ? (await x.builder.cacheList()).map(usageOf) : [];
  const answer = x.apiMinor < 53 ? lists(x, usage, cache) : {};
  if (x.apiMinor >= 52) {
    const items = <T>(list: T[]): { Items?: T[] } => (x.query.flag("verbose") ? { Items: list } : {});
    if (images !== undefined) answer.ImageUsage = { ...imageUsage(images, layerBytes), ...items(images) };
    if (containers !== undefined)
      answer.ContainerUsage = { ...containerUsage(containers), ...items(containers) };
    if (volumes !== undefined) answer.VolumeUsage = { ...volumeUsage(volumes), ...items(volumes) };
    if (hasBuildCache) answer.BuildCacheUsage = { ...buildCacheUsage(cache), ...items(cache) };
  }
  x.json(200, answer);
}

export const diskUsageRoutes: readonly Route[] = [{ method: "GET", path: "/system/df", handle: diskUsage }];
