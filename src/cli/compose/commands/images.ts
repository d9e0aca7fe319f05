import { familiarName, parseReference } from "../../../oci/reference.ts";
import { humanSize, truncateId } from "../../output/humanize.ts";
import { alignTabs } from "../../output/tab-writer.ts";
import { composeCommand, composeTable, oneOf } from "../app.ts";
import { containersOf } from "../containers.ts";

export default composeCommand({
  name: "images",
  usage: "[OPTIONS] [SERVICE...]",
  short: "Show the images of the containers that are there",
  completes: "services",
  flags: [
    {
      name: "format",
      type: "string",
      default: "table",
      help: "How they are shown: table or json",
      validate: oneOf("table", "json"),
    },
    { name: "quiet", short: "q", type: "bool", help: "Show IDs alone" },
  ],
  async run(app, parsed) {
    const { containers } = await containersOf(app, parsed.positional, { oneOff: "include" });
    const ids = [...new Set(containers.map(({ summary }) => summary.ImageID))];
    const images = new Map(
      await Promise.all(ids.map(async (id) => [id, await app.context.client.imageInspect(id)] as const)),
    );
    if (parsed.bool("quiet")) {
      const all = [...new Set(ids.map((id) => id.replace(/^sha256:/, "")))];
      app.context.print(all.map((id) => `${id}\n`).join(""));
      return 0;
    }
    const rows = containers
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ name, summary }) => {
        const image = images.get(summary.ImageID)!;
        const [first] = image.RepoTags ?? [];
        const reference = first === undefined ? undefined : parseReference(first);
        return {
          ID: image.Id,
          ContainerName: name,
          Repository: reference === undefined ? "<none>" : familiarName(reference),
          Tag: reference?.tag ?? "<none>",
          Size: image.Size,
        };
      });
    if (parsed.string("format") === "json") {
      app.context.print(`${JSON.stringify(rows)}\n`);
      return 0;
    }
    const lines = rows.map(({ ContainerName, Repository, Tag, ID, Size }) =>
      [ContainerName, Repository, Tag, truncateId(ID), humanSize(Size)].join("\t"),
    );
    const table = ["CONTAINER\tREPOSITORY\tTAG\tIMAGE ID\tSIZE", ...lines]
      .map((line) => `${line}\n`)
      .join("");
    app.context.print(alignTabs(table, composeTable));
    return 0;
  },
});
