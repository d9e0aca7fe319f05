import { observe } from "../../../compose/engine.ts";
import { labels } from "../../../compose/labels.ts";
import { alignTabs } from "../../output/tab-writer.ts";
import { CliError } from "../../errors.ts";
import { composeCommand, composeTable, oneOf } from "../app.ts";

export default composeCommand({
  name: "ls",
  usage: "[OPTIONS]",
  short: "List projects, the running ones unless told otherwise",
  args: { min: 0, max: 0 },
  flags: [
    { name: "all", short: "a", type: "bool", help: "Also projects of which nothing runs" },
    { name: "filter", type: "filter", help: "Only projects whose name fits, such as name=shop" },
    {
      name: "format",
      type: "string",
      default: "table",
      help: "How they are shown: table or json",
      validate: oneOf("table", "json"),
    },
    { name: "quiet", short: "q", type: "bool", help: "Show names alone" },
  ],
  async run({ context }, parsed) {
    const summaries = await context.client.containerList({
      all: parsed.bool("all"),
      filters: { label: [labels.project, labels.configHash] },
    });
    const byProject = Map.groupBy(
      summaries.map(observe),
      ({ summary }) => summary.Labels[labels.project] ?? "",
    );
    const filters = parsed.filters("filter");
    const unknown = Object.keys(filters).find((key) => key !== "name");
    if (unknown !== undefined) throw new CliError(`invalid filter '${unknown}'`, 1);
    const wanted = filters["name"] ?? [];
    const rows = [...byProject.keys()]
      .filter((name) => wanted.length === 0 || wanted.some((pattern) => new RegExp(pattern).test(name)))
      .sort()
      .map((name) => {
        const own = byProject.get(name)!;
        const files = own.flatMap(({ summary }) => (summary.Labels[labels.configFiles] ?? "N/A").split(","));
        return {
          Name: name,
          Status: statusOf(own.map(({ state }) => state)),
          ConfigFiles: [...new Set(files)].join(","),
        };
      });
    if (parsed.bool("quiet")) context.print(rows.map(({ Name }) => `${Name}\n`).join(""));
    else if (parsed.string("format") === "json") context.print(`${JSON.stringify(rows)}\n`);
    else {
      const lines = rows.map(({ Name, Status, ConfigFiles }) => `${Name}\t${Status}\t${ConfigFiles}\n`);
      context.print(alignTabs(["NAME\tSTATUS\tCONFIG FILES\n", ...lines].join(""), composeTable));
    }
    return 0;
  },
});

/** `exited(1), running(2)`. */
function statusOf(states: readonly string[]): string {
  const counts = Map.groupBy(states, (state) => state);
  return [...counts.keys()]
    .sort()
    .map((state) => `${state}(${counts.get(state)!.length})`)
    .join(", ");
}
