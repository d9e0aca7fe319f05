import type { ContainerSummary } from "./container.ts";
import type { ImageSummary } from "./image.ts";
import type { VolumeInspect } from "./volume.ts";

/** A volume in `GET /system/df`. */
export interface VolumeUsage extends VolumeInspect {
  UsageData: { Size: number; RefCount: number };
}

/** A record of the build cache (definition `BuildCache`). */
export interface BuildCacheUsage {
  ID: string;
  /** Before API version 1.42. */
  Parent?: string;
  Parents?: string[] | null;
  Type: string;
  Description: string;
  InUse: boolean;
  Shared: boolean;
  Size: number;
  CreatedAt: string;
  LastUsedAt: string | null;
  UsageCount: number;
}

/** What takes room, by kind; undefined for what was not asked for. */
export interface DiskUsage {
  /** Unpacked bytes of all layers, each counted once. */
  readonly layerBytes: number | undefined;
  readonly images: ImageSummary[] | undefined;
  readonly containers: ContainerSummary[] | undefined;
  readonly volumes: VolumeUsage[] | undefined;
  /** Whether the build cache was asked for; the builder lists it. */
  readonly hasBuildCache: boolean;
}

/** One kind in `GET /system/df` from API version 1.52 on. */
export interface KindUsage<T> {
  ActiveCount: number;
  TotalCount: number;
  Reclaimable: number;
  TotalSize: number;
  /** With `verbose` only. */
  Items?: T[];
}

/** Answer of `GET /system/df`; the `…Usage` fields from API version 1.52 on, the others before 1.53. */
export interface DiskUsageResponse {
  LayersSize?: number;
  Images?: ImageSummary[] | null;
  Containers?: ContainerSummary[] | null;
  Volumes?: VolumeUsage[] | null;
  BuildCache?: BuildCacheUsage[] | null;
  ImageUsage?: KindUsage<ImageSummary>;
  ContainerUsage?: KindUsage<ContainerSummary>;
  VolumeUsage?: KindUsage<VolumeUsage>;
  BuildCacheUsage?: KindUsage<BuildCacheUsage>;
}

/** Sums of one kind, by Docker's rules: what is in use cannot be reclaimed. */
export function imageUsage(images: readonly ImageSummary[], layerBytes: number): KindUsage<ImageSummary> {
  const active = images.filter((image) => image.Containers > 0);
  const used = active.reduce((sum, { Size, SharedSize }) => sum + Size - Math.max(0, SharedSize), 0);
  return {
    ActiveCount: active.length,
    TotalCount: images.length,
    Reclaimable: Math.max(0, layerBytes - used),
    TotalSize: layerBytes,
  };
}

export function containerUsage(containers: readonly ContainerSummary[]): KindUsage<ContainerSummary> {
  const isActive = ({ State }: ContainerSummary): boolean =>
    State === "running" || State === "paused" || State === "restarting";
  const bytes = (list: readonly ContainerSummary[]): number =>
    list.reduce((sum, { SizeRw = 0 }) => sum + SizeRw, 0);
  return {
    ActiveCount: containers.filter(isActive).length,
    TotalCount: containers.length,
    Reclaimable: bytes(containers.filter((container) => !isActive(container))),
    TotalSize: bytes(containers),
  };
}

export function volumeUsage(volumes: readonly VolumeUsage[]): KindUsage<VolumeUsage> {
  const bytes = (list: readonly VolumeUsage[]): number =>
    list.reduce((sum, { UsageData }) => sum + Math.max(0, UsageData.Size), 0);
  return {
    ActiveCount: volumes.filter(({ UsageData }) => UsageData.RefCount > 0).length,
    TotalCount: volumes.length,
    Reclaimable: bytes(volumes.filter(({ UsageData }) => UsageData.RefCount === 0)),
    TotalSize: bytes(volumes),
  };
}

/** What images have is not freed by removing it from the cache. */
export function buildCacheUsage(records: readonly BuildCacheUsage[]): KindUsage<BuildCacheUsage> {
  const bytes = (list: readonly BuildCacheUsage[]): number =>
    list.reduce((sum, { Size, Shared }) => sum + (Shared ? 0 : Size), 0);
  return {
    ActiveCount: records.filter(({ InUse }) => InUse).length,
    TotalCount: records.length,
    Reclaimable: bytes(records.filter(({ InUse }) => !InUse)),
    TotalSize: bytes(records),
  };
}
