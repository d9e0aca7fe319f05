import type { Command } from "../command.ts";
import { historyFlags } from "../flags/listing.ts";
import { defaultHistoryFormat, historyListing } from "../output/images.ts";
import { renderListing } from "../output/table.ts";
import { checkedPlatform } from "../pull-image.ts";

const command: Command = {
  path: "history",
  aliases: ["image history"],
  usage: "[OPTIONS] IMAGE",
  short: "Show how an image came to be, layer by layer",
  args: { min: 1, max: 1 },
  flags: historyFlags,
  completes: "images",
  async run(context, parsed) {
    const platform = checkedPlatform(parsed.string("platform"));
    const entries = await context.client.imageHistory(
      parsed.positional[0]!,
      platform === "" ? {} : { platform },
    );
    const isHuman = parsed.bool("human");
    const given = parsed.string("format");
    const isDefault = given === "" || given === "table";
    const format = isDefault ? (parsed.bool("quiet") ? "{{.ID}}" : defaultHistoryFormat(isHuman)) : given;
    const isTruncated = !parsed.bool("no-trunc");
    const rows = entries.map((entry) => ({ entry, isTruncated, isHuman }));
    context.print(renderListing(historyListing, rows, format));
    return 0;
  },
};

export default command;
