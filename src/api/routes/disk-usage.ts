import {
  containerUsage,
  type DiskUsageResponse,
  imageUsage,
  type KindUsage,
  volumeUsage,
} from "../../wire/disk-usage.ts";
import type { Exchange, Route } from "../exchange.ts";

const nothing: KindUsage<never> = { ActiveCount: 0, TotalCount: 0, Reclaimable: 0, TotalSize: 0 };

async function diskUsage(x: Exchange): Promise<void> {
  const usage = await x.engine.diskUsage(x.apiMinor >= 42 ? x.query.texts("type") : []);
  const { images, containers, volumes, layerBytes = 0, hasBuildCache } = usage;
  const answer: DiskUsageResponse = {};
  if (x.apiMinor < 53) {
    if (images !== undefined) Object.assign(answer, { LayersSize: layerBytes, Images: images });
    if (containers !== undefined) answer.Containers = containers;
    if (volumes !== undefined) answer.Volumes = volumes;
    if (hasBuildCache) answer.BuildCache = [];
  }
  if (x.apiMinor >= 52) {
    const items = <T>(list: T[]): { Items?: T[] } => (x.query.flag("verbose") ? { Items: list } : {});
    if (images !== undefined) answer.ImageUsage = { ...imageUsage(images, layerBytes), ...items(images) };
    if (containers !== undefined)
      answer.ContainerUsage = { ...containerUsage(containers), ...items(containers) };
    if (volumes !== undefined) answer.VolumeUsage = { ...volumeUsage(volumes), ...items(volumes) };
    if (hasBuildCache) answer.BuildCacheUsage = nothing;
  }
  x.json(200, answer);
}

export const diskUsageRoutes: readonly Route[] = [{ method: "GET", path: "/system/df", handle: diskUsage }];
