import type { ContainerSummary, PortSummary } from "../../wire/container.ts";
import { goQuote } from "../flag-values.ts";
import { mapsFromJson, type GoValue } from "../../base/template/values.ts";
import { ellipsis, goLocalTime, humanAge, humanSize, truncateId } from "./humanize.ts";
import type { Listing } from "./table.ts";

/** A container as lists show it. */
export interface ContainerRow {
  readonly summary: ContainerSummary;
  readonly isTruncated: boolean;
}

export const defaultPsFormat =
  "table {{.ID}}\\t{{.Image}}\\t{{.Command}}\\t{{.RunningFor}}\\t{{.Status}}\\t{{.Ports}}\\t{{.Names}}";

/** What `--format raw` stands for; `size` adds the size. */
export function rawPsFormat(size: boolean): string {
  return [
    "container_id: {{.ID}}",
    "image: {{.Image}}",
    "command: {{.Command}}",
    "created_at: {{.CreatedAt}}",
    "state: {{- pad .State 1 0}}",
    "status: {{- pad .Status 1 0}}",
    "names: {{.Names}}",
    "labels: {{- pad .Labels 1 0}}",
    "ports: {{- pad .Ports 1 0}}",
    ...(size ? ["size: {{.Size}}"] : []),
    "",
  ].join("\n");
}

export const containerListing: Listing<ContainerRow> = {
  typeName: "*formatter.ContainerContext",
  headers: {
    ID: "CONTAINER ID",
    Names: "NAMES",
    Image: "IMAGE",
    Command: "COMMAND",
    CreatedAt: "CREATED AT",
    RunningFor: "CREATED",
    Ports: "PORTS",
    State: "STATE",
    Status: "STATUS",
    Size: "SIZE",
    Labels: "LABELS",
    Mounts: "MOUNTS",
    LocalVolumes: "LOCAL VOLUMES",
    Networks: "NETWORKS",
  },
  headerMethods: {
    Label: (name) => (name as string).split(".").at(-1)!.replace(/[-_]/g, " "),
  },
  fields: ({ summary, isTruncated }) => ({
    ID: () => (isTruncated ? truncateId(summary.Id) : summary.Id),
    Names: () => containerNames(summary.Names ?? [], isTruncated),
    Image: () => imageName(summary, isTruncated),
    Command: () => goQuote(isTruncated ? ellipsis(summary.Command, 20) : summary.Command),
    CreatedAt: () => goLocalTime(summary.Created),
    RunningFor: () => humanAge(summary.Created),
    Ports: () => portList(summary.Ports ?? []),
    State: () => summary.State,
    Status: () => summary.Status,
    Size: () => sizeText(summary),
    Labels: () =>
      Object.entries(summary.Labels ?? {})
        .map(([key, value]) => `${key}=${value}`)
        .sort()
        .join(","),
    Mounts: () =>
      (summary.Mounts ?? [])
        .map((mount) => {
          const name = mount.Name !== undefined && mount.Name !== "" ? mount.Name : mount.Source;
          return isTruncated ? ellipsis(name, 15) : name;
        })
        .join(","),
    LocalVolumes: () => String((summary.Mounts ?? []).filter((mount) => mount.Driver === "local").length),
    Platform: () => platformOf(summary),
    Networks: () =>
      Object.keys(summary.NetworkSettings?.Networks ?? {})
        .sort()
        .join(","),
  }),
  methods: ({ summary }) => ({
    Label: (name) => (summary.Labels ?? {})[name as string] ?? "",
  }),
};

/** From API 1.48 on, of daemons that keep images for several platforms. */
function platformOf(summary: ContainerSummary): GoValue {
  const { ImageManifestDescriptor: descriptor } = summary as {
    ImageManifestDescriptor?: { platform?: unknown };
  };
  return descriptor?.platform === undefined ? null : mapsFromJson(descriptor.platform);
}

function containerNames(names: readonly string[], isTruncated: boolean): string {
  const plain = names.map((name) => name.replace(/^\//, ""));
  // A name with a slash inside is one that another container gave by a link.
  return (isTruncated ? plain.filter((name) => !name.includes("/")) : plain).join(",");
}

function imageName({ Image, ImageID }: ContainerSummary, isTruncated: boolean): string {
  if (Image === "") return "<no image>";
  if (!isTruncated) return Image;
  const short = truncateId(ImageID ?? "");
  if (short !== "" && short === truncateId(Image)) return short;
  const digestAt = Image.indexOf("@");
  return digestAt > 0 ? Image.slice(0, digestAt) : Image;
}

function sizeText({ SizeRw = 0, SizeRootFs = 0 }: ContainerSummary): string {
  const own = humanSize(SizeRw);
  return SizeRootFs > 0 ? `${own} (virtual ${humanSize(SizeRootFs)})` : own;
}

interface PortRange {
  readonly ip: string;
  readonly type: string;
  readonly first: number;
  last: number;
}

/**
 * Ports as `ps` shows them: neighbouring ones that are published under their own number, or not at all, as a range;
 * those with another number on the host one by one behind them.
 */
export function portList(ports: readonly PortSummary[]): string {
  const ranges: PortRange[] = [];
  const open = new Map<string, PortRange>();
  const mapped: string[] = [];
  for (const port of [...ports].sort(comparePorts)) {
    const ip = port.IP ?? "";
    if (ip !== "" && port.PublicPort !== port.PrivatePort) {
      mapped.push(`${hostPort(ip, String(port.PublicPort ?? 0))}->${port.PrivatePort}/${port.Type}`);
      continue;
    }
    const key = `${ip}/${port.Type}`;
    const range = open.get(key);
    if (range !== undefined && port.PrivatePort === range.last + 1) {
      range.last = port.PrivatePort;
      continue;
    }
    if (range !== undefined) ranges.push(range);
    open.set(key, { ip, type: port.Type, first: port.PrivatePort, last: port.PrivatePort });
  }
  return [...[...ranges, ...open.values()].map(showRange), ...mapped].join(", ");
}

function showRange({ ip, type, first, last }: PortRange): string {
  const numbers = first === last ? String(first) : `${first}-${last}`;
  return ip === "" ? `${numbers}/${type}` : `${hostPort(ip, numbers)}->${numbers}/${type}`;
}

function hostPort(ip: string, port: string): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function comparePorts(a: PortSummary, b: PortSummary): number {
  const [ipA, ipB] = [a.IP ?? "", b.IP ?? ""];
  if (a.PrivatePort !== b.PrivatePort) return a.PrivatePort - b.PrivatePort;
  if (ipA !== ipB) return ipA < ipB ? -1 : 1;
  if (a.PublicPort !== b.PublicPort) return (a.PublicPort ?? 0) - (b.PublicPort ?? 0);
  return a.Type < b.Type ? -1 : a.Type > b.Type ? 1 : 0;
}
