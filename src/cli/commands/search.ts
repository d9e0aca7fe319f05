import type { ImageSearchResult } from "../../wire/image.ts";
import type { Command } from "../command.ts";
import { registryAuthFor } from "../credentials.ts";
import { ellipsis } from "../output/humanize.ts";
import { type Listing, renderListing } from "../output/table.ts";

interface SearchRow {
  readonly found: ImageSearchResult;
  readonly isTruncated: boolean;
}

const listing: Listing<SearchRow> = {
  typeName: "*formatter.searchContext",
  headers: {
    Name: "NAME",
    Description: "DESCRIPTION",
    StarCount: "STARS",
    IsOfficial: "OFFICIAL",
    IsAutomated: "AUTOMATED",
  },
  fields: ({ found, isTruncated }) => ({
    Name: () => found.name,
    Description: () => {
      const text = found.description.replace(/[\n\r]/g, " ");
      return isTruncated ? ellipsis(text, 45) : text;
    },
    StarCount: () => String(found.star_count),
    IsOfficial: () => (found.is_official ? "[OK]" : ""),
    IsAutomated: () => (found.is_automated ? "[OK]" : ""),
  }),
};

const defaultFormat = "table {{.Name}}\\t{{.Description}}\\t{{.StarCount}}\\t{{.IsOfficial}}";

const command: Command = {
  path: "search",
  usage: "[OPTIONS] TERM",
  short: "Look for images in Docker Hub or another registry",
  long: "Look for images in Docker Hub; with HOST[:PORT]/TERM in the list of that registry. HOST/ alone lists all of it.",
  section: "common",
  flags: [
    {
      name: "filter",
      short: "f",
      type: "filter",
      help: "Show only some: stars=3, is-official=true, is-automated=false",
    },
    { name: "format", type: "string", help: "Print each by a Go template" },
    { name: "limit", type: "int", help: "At most so many (25 if not said otherwise, 100 at most)" },
    { name: "no-trunc", type: "bool", help: "Show descriptions whole" },
  ],
  args: { min: 1, max: 1 },
  async run(context, parsed) {
    const [term = ""] = parsed.positional;
    const [head = "", ...rest] = term.split("/");
    const domain = rest.length > 0 && /[.:]|^localhost$/.test(head) ? head : "docker.io";
    const registryAuth = await registryAuthFor(context, domain);
    const found = await context.client.imageSearch(term, {
      limit: parsed.number("limit"),
      filters: parsed.filters("filter"),
      ...(registryAuth === undefined ? {} : { registryAuth }),
    });
    const isTruncated = !parsed.bool("no-trunc");
    const given = parsed.string("format");
    const rows = found.map((entry) => ({ found: entry, isTruncated }));
    context.print(renderListing(listing, rows, given === "" || given === "table" ? defaultFormat : given));
    return 0;
  },
};

export default command;
