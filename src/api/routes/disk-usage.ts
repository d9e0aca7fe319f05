import type { BuildCacheRecord } from "../../build/build-cache.ts";
import {
  type BuildCacheUsage,
  buildCacheUsage,
  containerUsage,
  type DiskUsageResponse,
  imageUsage,
  volumeUsage,
} from "../../wire/disk-usage.ts";
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

async function diskUsage(x: Exchange): Promise<void> {
  const usage = await x.engine.diskUsage(x.apiMinor >= 42 ? x.query.texts("type") : []);
  const { images, containers, volumes, layerBytes = 0, hasBuildCache } = usage;
  const cache = hasBuildCache ? (await x.builder.cacheList()).map(usageOf) : [];
  const answer: DiskUsageResponse = {};
  if (x.apiMinor < 53) {
    if (images !== undefined) Object.assign(answer, { LayersSize: layerBytes, Images: images });
    if (containers !== undefined) answer.Containers = containers;
    if (volumes !== undefined) answer.Volumes = volumes;
    if (hasBuildCache) answer.BuildCache = cache.map((record) => shaped(record, x.apiMinor));
  }
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
