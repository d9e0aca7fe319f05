import type { ImageHistoryEntry, ImageSummary } from "../../wire/image.ts";
import { ellipsis, goLocalTime, humanAge, humanSize, truncateId } from "./humanize.ts";
import type { Listing } from "./table.ts";

const none = "<none>";

/** One line of a list of images: an image has one for each of its names. */
export interface ImageRow {
  readonly summary: ImageSummary;
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
  readonly isTruncated: boolean;
}

export const defaultImagesFormat =
  "table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}\\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\\t{{.Size}}";

export const digestsImagesFormat = defaultImagesFormat.replace("{{.Tag}}", "{{.Tag}}\\t{{.Digest}}");

/** What `--format raw` stands for. */
export function rawImagesFormat(digests: boolean): string {
  return [
    "repository: {{ .Repository }}",
    "tag: {{.Tag}}",
    ...(digests ? ["digest: {{.Digest}}"] : []),
    "image_id: {{.ID}}",
    "created_at: {{.CreatedAt}}",
    "virtual_size: {{.Size}}",
    "",
  ].join("\n");
}

/** The lines of a list. With `digests` a name has one line for each digest it is known by. */
export function imageRows(
  images: readonly ImageSummary[],
  { digests, isTruncated }: { digests: boolean; isTruncated: boolean },
): ImageRow[] {
  const rows: ImageRow[] = [];
  for (const summary of images) {
    const push = (repository: string, tag: string, digest: string): void => {
      rows.push({ summary, repository, tag, digest, isTruncated });
    };
    const digestsBy = byRepository(summary.RepoDigests ?? [], "@");
    const tagsBy = byRepository(summary.RepoTags ?? [], ":");
    if (digestsBy.size === 0 && tagsBy.size === 0) push(none, none, none);
    for (const [repository, tags] of tagsBy) {
      const own = digests ? (digestsBy.get(repository) ?? [none]) : [none];
      digestsBy.delete(repository);
      for (const tag of tags) for (const digest of own) push(repository, tag, digest);
    }
    for (const [repository, own] of digestsBy) {
      for (const digest of digests ? own : [none]) push(repository, none, digest);
    }
  }
  return rows;
}

function byRepository(names: readonly string[], separator: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const name of names) {
    const at = name.lastIndexOf(separator);
    const [repository, rest] = [name.slice(0, at), name.slice(at + 1)];
    if (at < 0 || repository === none) continue;
    found.set(repository, [...(found.get(repository) ?? []), rest]);
  }
  return found;
}

const unknown = "N/A";

export const imageListing: Listing<ImageRow> = {
  typeName: "*formatter.imageContext",
  headers: {
    ID: "IMAGE ID",
    Repository: "REPOSITORY",
    Tag: "TAG",
    Digest: "DIGEST",
    CreatedSince: "CREATED",
    CreatedAt: "CREATED AT",
    Size: "SIZE",
    Containers: "CONTAINERS",
    VirtualSize: "SIZE",
    SharedSize: "SHARED SIZE",
    UniqueSize: "UNIQUE SIZE",
  },
  fields: ({ summary, repository, tag, digest, isTruncated }) => ({
    ID: () => (isTruncated ? truncateId(summary.Id) : summary.Id),
    Repository: () => repository,
    Tag: () => tag,
    Digest: () => digest,
    CreatedSince: () => humanAge(summary.Created),
    CreatedAt: () => goLocalTime(summary.Created),
    Size: () => humanSize(summary.Size),
    Containers: () => (summary.Containers < 0 ? unknown : String(summary.Containers)),
    VirtualSize: () => humanSize(summary.Size, 4),
    SharedSize: () => (summary.SharedSize < 0 ? unknown : humanSize(summary.SharedSize)),
    UniqueSize: () =>
      summary.SharedSize < 0 ? unknown : humanSize(Math.max(0, summary.Size - summary.SharedSize)),
  }),
};

/** A step of an image's history. */
export interface HistoryRow {
  readonly entry: ImageHistoryEntry;
  readonly isTruncated: boolean;
  /** Sizes and times in words. */
  readonly isHuman: boolean;
}

/** The table of `history`; without `human` with points in time instead of ages. */
export function defaultHistoryFormat(human: boolean): string {
  const created = human ? "{{if .CreatedSince}}{{.CreatedSince}}{{else}}N/A{{end}}" : "{{.CreatedAt}}";
  return `table {{.ID}}\\t${created}\\t{{.CreatedBy}}\\t{{.Size}}\\t{{.Comment}}`;
}

export const historyListing: Listing<HistoryRow> = {
  typeName: "*image.historyContext",
  headers: {
    ID: "IMAGE",
    CreatedSince: "CREATED",
    CreatedAt: "CREATED AT",
    CreatedBy: "CREATED BY",
    Size: "SIZE",
    Comment: "COMMENT",
  },
  fields: ({ entry, isTruncated, isHuman }) => ({
    ID: () => (isTruncated ? truncateId(entry.Id) : entry.Id),
    CreatedSince: () => humanAge(entry.Created),
    CreatedAt: () => rfc3339Local(entry.Created),
    CreatedBy: () => {
      const text = entry.CreatedBy.replaceAll("\t", " ");
      return isTruncated ? ellipsis(text, 45) : text;
    },
    Size: () => (isHuman ? humanSize(entry.Size) : String(entry.Size)),
    Comment: () => entry.Comment,
  }),
};

/** Local time in RFC 3339, to the second. */
function rfc3339Local(unixSeconds: number): string {
  const [date, time, offset] = goLocalTime(unixSeconds).split(" ") as [string, string, string];
  return `${date}T${time}${offset === "+0000" ? "Z" : `${offset.slice(0, 3)}:${offset.slice(3)}`}`;
}
