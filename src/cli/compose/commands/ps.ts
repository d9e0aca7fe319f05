import { ComposeError } from "../../../compose/errors.ts";
import type { Observed } from "../../../compose/engine.ts";
import { labels } from "../../../compose/labels.ts";
import { ellipsis, goLocalTime, humanAge, truncateId } from "../../output/humanize.ts";
import { portList } from "../../output/containers.ts";
import { renderListing, type Listing } from "../../output/table.ts";
import { goQuote } from "../../flag-values.ts";
import { composeCommand } from "../app.ts";
import { containersOf } from "../containers.ts";

const defaultFormat =
  "table {{.Name}}\\t{{.Image}}\\t{{.Command}}\\t{{.Service}}\\t{{.RunningFor}}\\t{{.Status}}\\t{{.Ports}}";
const statuses = ["paused", "restarting", "removing", "running", "dead", "created", "exited"];

export default composeCommand({
  name: "ps",
  usage: "[OPTIONS] [SERVICE...]",
  short: "List containers, the running ones unless told otherwise",
  completes: "services",
  flags: [
    { name: "all", short: "a", type: "bool", help: "Also containers that are stopped, and those of run" },
    { name: "filter", type: "string", placeholder: "status=STATE", help: "Only containers in a state" },
    {
      name: "format",
      type: "string",
      default: "table",
      help: "Format: 'table', 'table TEMPLATE', 'json' or a Go template",
    },
    { name: "no-trunc", type: "bool", help: "Show everything in full" },
    {
      name: "orphans",
      type: "bool",
      default: true,
      help: "Also containers of services that the files no longer have",
    },
    { name: "quiet", short: "q", type: "bool", help: "Show IDs alone" },
    { name: "services", type: "bool", help: "Show names of services alone" },
    {
      name: "status",
      type: "list",
      placeholder: "STATE",
      help: `Only containers in a state: ${statuses.join(", ")}`,
    },
  ],
  async run(app, parsed) {
    const { context } = app;
    const wanted = statesOf(parsed.string("filter"), parsed.list("status"));
    const all = parsed.bool("all") || wanted.length > 0;
    const { project, containers } = await containersOf(app, parsed.positional, {
      all,
      oneOff: parsed.bool("all") ? "include" : "exclude",
    });
    const rows = containers.filter(
      ({ state, service }) =>
        (wanted.length === 0 || wanted.includes(state)) &&
        (parsed.bool("orphans") || project === undefined || service in project.services),
    );
    if (parsed.bool("quiet")) context.print(rows.map(({ id }) => `${id}\n`).join(""));
    else if (parsed.bool("services")) {
      context.print([...new Set(rows.map(({ service }) => service))].map((name) => `${name}\n`).join(""));
    } else {
      const format = parsed.string("format");
      const isTruncated = !parsed.bool("no-trunc");
      const listed = rows.map((container) => ({ container, isTruncated }));
      context.print(renderListing(listing, listed, format === "table" ? defaultFormat : format));
    }
    return 0;
  },
});

function statesOf(filter: string, states: readonly string[]): string[] {
  const wanted = [...states];
  if (filter !== "") {
    const [key, value] = filter.split("=");
    if (key !== "status" || value === undefined)
      throw new ComposeError(`unknown filter ${filter}: use status=STATE`);
    wanted.push(value);
  }
  const wrong = wanted.find((state) => !statuses.includes(state));
  if (wrong !== undefined)
    throw new ComposeError(`unknown status ${wrong}: use one of ${statuses.join(", ")}`);
  return wanted;
}

interface Row {
  readonly container: Observed;
  readonly isTruncated: boolean;
}

const listing: Listing<Row> = {
  typeName: "*formatter.ContainerContext",
  headers: {
    ID: "CONTAINER ID",
    Name: "NAME",
    Names: "NAMES",
    Project: "PROJECT",
    Service: "SERVICE",
    Image: "IMAGE",
    Command: "COMMAND",
    CreatedAt: "CREATED AT",
    RunningFor: "CREATED",
    State: "STATE",
    Status: "STATUS",
    Health: "HEALTH",
    ExitCode: "EXIT CODE",
    Ports: "PORTS",
    Publishers: "PUBLISHERS",
    Labels: "LABELS",
    Mounts: "MOUNTS",
    LocalVolumes: "LOCAL VOLUMES",
    Networks: "NETWORKS",
    Size: "SIZE",
  },
  fields: ({ container: { id, name, service, state, summary }, isTruncated }) => ({
    ID: () => (isTruncated ? truncateId(id) : id),
    Name: () => name,
    Names: () => summary.Names.map((each) => each.replace(/^\//, "")).join(","),
    Project: () => summary.Labels[labels.project] ?? "",
    Service: () => service,
    Image: () => summary.Image,
    Command: () => goQuote(isTruncated ? ellipsis(summary.Command, 20) : summary.Command),
    CreatedAt: () => goLocalTime(summary.Created),
    RunningFor: () => humanAge(summary.Created),
    State: () => state,
    Status: () => summary.Status,
    Health: () => healthOf(summary.Status),
    ExitCode: () => Number(/^Exited \((\d+)\)/.exec(summary.Status)?.[1] ?? 0),
    Ports: () => portList(summary.Ports ?? []),
    Publishers: () =>
      (summary.Ports ?? [])
        .toSorted((a, b) => a.PrivatePort - b.PrivatePort)
        .map(
          (port) =>
            new Map<string, string | number>([
              ["URL", port.IP ?? ""],
              ["TargetPort", port.PrivatePort],
              ["PublishedPort", port.PublicPort ?? 0],
              ["Protocol", port.Type],
            ]),
        ),
    Labels: () =>
      Object.entries(summary.Labels)
        .map(([key, value]) => `${key}=${value}`)
        .sort()
        .join(","),
    Mounts: () => summary.Mounts.map((mount) => mount.Name ?? mount.Source).join(","),
    LocalVolumes: () => String(summary.Mounts.filter((mount) => mount.Driver === "local").length),
    Networks: () => Object.keys(summary.NetworkSettings.Networks).sort().join(","),
    Size: () => "0B",
  }),
  methods: ({ container: { summary } }) => ({
    Label: (key) => summary.Labels[key as string] ?? "",
  }),
};

function healthOf(status: string): string {
  return /\((?:health: )?(starting|healthy|unhealthy)\)$/.exec(status)?.[1] ?? "";
}
