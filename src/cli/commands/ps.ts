import type { Command } from "../command.ts";
import { psFlags } from "../flags/listing.ts";
import { containerListing, defaultPsFormat, rawPsFormat } from "../output/containers.ts";
import { renderListing } from "../output/table.ts";
import type { ParsedArguments } from "../parser.ts";

const command: Command = {
  path: "ps",
  aliases: ["container ls", "container list", "container ps"],
  usage: "[OPTIONS]",
  short: "List containers, the running ones unless told otherwise",
  section: "common",
  args: { min: 0, max: 0 },
  flags: psFlags,
  async run(context, parsed) {
    const isCustom = parsed.string("format") !== "" && parsed.bool("quiet");
    if (isCustom) context.printError(ignoredFormat);
    const format = isCustom ? "{{.ID}}" : psFormat(parsed, () => context.config().psFormat);
    const last = parsed.bool("latest") && !parsed.changed("last") ? 1 : parsed.number("last");
    const containers = await context.client.containerList({
      all: parsed.bool("all"),
      size: parsed.bool("size") || /\{\{[^}]*(\.Size\b|json \.\s*\}\})/.test(format),
      filters: parsed.filters("filter"),
      ...(last > 0 ? { limit: last } : {}),
    });
    const isTruncated = !parsed.bool("no-trunc");
    const rows = containers.map((summary) => ({ summary, isTruncated }));
    context.print(renderListing(containerListing, rows, format));
    return 0;
  },
};

const ignoredFormat = "WARNING: Ignoring custom format, because both --format and --quiet are set.";

function psFormat(parsed: ParsedArguments, configured: () => string | undefined): string {
  const isQuiet = parsed.bool("quiet");
  const given = parsed.string("format");
  const size = parsed.bool("size");
  const format = given === "" && !isQuiet ? (configured() ?? "") : given;
  if (format === "" || format === "table") {
    if (isQuiet) return "{{.ID}}";
    return size ? `${defaultPsFormat}\\t{{.Size}}` : defaultPsFormat;
  }
  if (format === "raw") return isQuiet ? "container_id: {{.ID}}" : rawPsFormat(size);
  return format;
}

export default command;
