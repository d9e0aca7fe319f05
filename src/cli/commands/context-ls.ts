import type { Command, CommandContext } from "../command.ts";
import { ContextStore } from "../context-store.ts";
import { listFormatFlag } from "../flags/listing.ts";
import { type Listing, renderListing } from "../output/table.ts";

interface Row {
  readonly name: string;
  readonly description: string;
  readonly host: string;
  readonly isCurrent: boolean;
  readonly error: string;
}

const listing: Listing<Row> = {
  typeName: "*formatter.clientContextContext",
  headers: {
    Name: "NAME",
    Description: "DESCRIPTION",
    DockerEndpoint: "DOCKER ENDPOINT",
    Error: "ERROR",
    Current: "",
  },
  fields: (row) => ({
    Current: () => row.isCurrent,
    Description: () => row.description,
    DockerEndpoint: () => row.host,
    Error: () => row.error,
    Name: () => row.name,
  }),
};

const defaultFormat =
  "table {{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}";

const command: Command = {
  path: "context ls",
  aliases: ["context list"],
  usage: "[OPTIONS]",
  short: "List contexts",
  flags: [listFormatFlag, { name: "quiet", short: "q", type: "bool", help: "Print names and nothing else" }],
  args: { min: 0, max: 0 },
  async run(context, parsed) {
    const asked = parsed.string("format");
    const standard = parsed.bool("quiet") ? "{{.Name}}" : defaultFormat;
    const format = asked === "" || asked === "table" ? standard : asked;
    context.print(renderListing(listing, contextRows(context), format));
    if (
      !parsed.bool("quiet") &&
      context.contextName() === "default" &&
      (context.env["DOCKER_HOST"] ?? "") !== ""
    )
      context.printError(
        "Warning: DOCKER_HOST environment variable overrides the active context. To use a context, " +
          "either set the global --context flag, or unset DOCKER_HOST environment variable.",
      );
    return 0;
  },
};

export default command;

function contextRows(context: CommandContext): Row[] {
  const current = context.contextName();
  const stored = new ContextStore(context.configDirectory).list();
  const rows: Row[] = [
    {
      name: "default",
      description: "Current DOCKER_HOST based configuration",
      host: current === "default" ? context.endpoint().host : context.defaultHost(),
      isCurrent: current === "default",
      error: "",
    },
    ...stored.map(({ Name, Metadata, Endpoints }) => ({
      name: Name,
      description: Metadata.Description ?? "",
      host: Endpoints.docker?.Host ?? "",
      isCurrent: Name === current,
      error: "",
    })),
  ];
  if (!rows.some(({ isCurrent }) => isCurrent))
    rows.push({
      name: current,
      description: "",
      host: "",
      isCurrent: true,
      error: "context not found",
    });
  return rows.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
}
