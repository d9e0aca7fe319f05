/** The tables of `system df -v`: what each image, container and volume takes. */
import type { DiskUsageResponse, VolumeUsage } from "../../wire/disk-usage.ts";
import { containerListing, type ContainerRow } from "./containers.ts";
import { humanAge, humanSize, truncateId } from "./humanize.ts";
import { imageListing, imageRows, type ImageRow } from "./images.ts";
import { type Listing, renderListing, rowStruct } from "./table.ts";
import type { GoValue } from "../../base/template/values.ts";

const imageFormat =
  "table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}\\t{{.CreatedSince}}\\t{{.Size}}\\t{{.SharedSize}}\\t{{.UniqueSize}}\\t{{.Containers}}";
const containerFormat =
  "table {{.ID}}\\t{{.Image}}\\t{{.Command}}\\t{{.LocalVolumes}}\\t{{.Size}}\\t{{.RunningFor}}\\t{{.Status}}\\t{{.Names}}";
const volumeFormat = "table {{.Name}}\\t{{.Links}}\\t{{.Size}}";
const cacheFormat =
  "table {{.ID}}\\t{{.CacheType}}\\t{{.Size}}\\t{{.CreatedSince}}\\t{{.LastUsedSince}}\\t{{.UsageCount}}\\t{{.Shared}}";

/** A record of the build cache (definition `BuildCache`). */
interface CacheRecord {
  readonly ID: string;
  readonly Type: string;
  readonly InUse: boolean;
  readonly Shared: boolean;
  readonly Size: number;
  readonly CreatedAt: string;
  readonly LastUsedAt?: string | null;
  readonly UsageCount: number;
}

/** Here shared and own room is told with four digits, as Docker does. */
const images: Listing<ImageRow> = {
  ...imageListing,
  fields: (row) => ({
    ...imageListing.fields(row),
    UniqueSize: () => {
      const { Size, SharedSize } = row.summary;
      return SharedSize < 0 ? "N/A" : humanSize(Math.max(0, Size - SharedSize), 4);
    },
  }),
};

/** Here the size of a container is that of its own files alone. */
const containers: Listing<ContainerRow> = {
  ...containerListing,
  fields: (row) => ({ ...containerListing.fields(row), Size: () => humanSize(row.summary.SizeRw ?? 0) }),
};

const volumes: Listing<VolumeUsage> = {
  typeName: "*formatter.volumeContext",
  headers: { Name: "VOLUME NAME", Links: "LINKS", Size: "SIZE", Driver: "DRIVER", Mountpoint: "MOUNTPOINT" },
  fields: ({ Name, UsageData, Driver, Mountpoint, Scope }) => ({
    Name: () => Name,
    Links: () => String(UsageData.RefCount),
    Size: () => (UsageData.Size < 0 ? "N/A" : humanSize(UsageData.Size)),
    Driver: () => Driver,
    Mountpoint: () => Mountpoint,
    Scope: () => Scope,
  }),
};

const ageOf = (time: string | null | undefined): string =>
  time === undefined || time === null || time.startsWith("0001-") ? "" : humanAge(Date.parse(time) / 1000);

const caches: Listing<CacheRecord> = {
  typeName: "*formatter.buildCacheContext",
  headers: {
    ID: "CACHE ID",
    CacheType: "CACHE TYPE",
    Size: "SIZE",
    CreatedSince: "CREATED",
    LastUsedSince: "LAST USED",
    UsageCount: "USAGE",
    Shared: "SHARED",
  },
  fields: (record) => ({
    ID: () => `${truncateId(record.ID)}${record.InUse ? "*" : ""}`,
    CacheType: () => record.Type,
    Size: () => humanSize(record.Size),
    CreatedSince: () => ageOf(record.CreatedAt),
    LastUsedSince: () => ageOf(record.LastUsedAt),
    UsageCount: () => String(record.UsageCount),
    Shared: () => String(record.Shared),
  }),
};

interface Rows {
  readonly images: ImageRow[];
  readonly containers: ContainerRow[];
  readonly volumes: VolumeUsage[];
  readonly caches: CacheRecord[];
}

function rowsOf(usage: DiskUsageResponse, isTruncated: boolean): Rows {
  const summaries = usage.Images ?? usage.ImageUsage?.Items ?? [];
  const boxes = usage.Containers ?? usage.ContainerUsage?.Items ?? [];
  return {
    images: imageRows(summaries, { digests: false, isTruncated }),
    containers: boxes.map((summary) => ({ summary, isTruncated })),
    volumes: usage.Volumes ?? usage.VolumeUsage?.Items ?? [],
    caches: usage.BuildCache ?? usage.BuildCacheUsage?.Items ?? [],
  };
}

/** The four tables. */
export function diskUsageTables(usage: DiskUsageResponse): string {
  const rows = rowsOf(usage, true);
  const cacheBytes = rows.caches.reduce((sum, { Size, Shared }) => sum + (Shared ? 0 : Size), 0);
  return [
    `Images space usage:\n\n${renderListing(images, rows.images, imageFormat)}`,
    `Containers space usage:\n\n${renderListing(containers, rows.containers, containerFormat)}`,
    `Local Volumes space usage:\n\n${renderListing(volumes, rows.volumes, volumeFormat)}`,
    `Build cache usage: ${humanSize(cacheBytes)}\n\n${renderListing(caches, rows.caches, cacheFormat)}`,
  ].join("\n");
}

/** The lists as one value for a template: `Images`, `Containers`, `Volumes`, `BuildCache`. */
export function diskUsageLists(usage: DiskUsageResponse): Record<string, GoValue> {
  const rows = rowsOf(usage, false);
  return {
    Images: rows.images.map((row) => rowStruct(images, row)),
    Containers: rows.containers.map((row) => rowStruct(containers, row)),
    Volumes: rows.volumes.map((row) => rowStruct(volumes, row)),
    BuildCache: rows.caches.map((row) => rowStruct(caches, row)),
  };
}
