import { parseDuration } from "../../base/duration.ts";
import { type CacheUsage, pruneCache } from "../../client/buildkit/solve.ts";
import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { humanSize } from "../output/humanize.ts";
import { tableText } from "../image-build/cache-table.ts";
import { confirmCachePrune, pruneFlags, reclaimedLine } from "../prune.ts";

const command: Command = {
  path: "buildx prune",
  usage: "[OPTIONS]",
  short: "Remove the build cache, and list what went",
  flags: [
    { name: "all", short: "a", type: "bool", help: "Also what images are made of and what is internal" },
    { name: "builder", type: "string", hidden: true, help: "Name of a builder; there is one, the daemon" },
    { name: "keep-storage", type: "bytes", aliasOf: "reserved-space", help: "Bytes of cache to keep" },
    { name: "max-used-space", type: "bytes", help: "Bytes of cache that may stay at most" },
    { name: "min-free-space", type: "bytes", help: "Bytes that must be free on the disk afterwards" },
    { name: "reserved-space", type: "bytes", help: "Bytes of cache to keep" },
    { name: "verbose", type: "bool", help: "Tell more of each record" },
    ...pruneFlags,
  ],
  args: { min: 0, max: 0 },
  async run(context, parsed) {
    await confirmCachePrune(context, parsed);
    const filters = new Map(Object.entries(parsed.filters("filter")));
    const until = filters.get("until")?.at(-1) ?? filters.get("unused-for")?.at(-1);
    filters.delete("until");
    filters.delete("unused-for");
    const removed: CacheUsage[] = [];
    const records = pruneCache(context.client.transport, {
      all: parsed.bool("all"),
      filter: [[...filters].flatMap(([key, values]) => values.map((value) => `${key}==${value}`)).join(",")],
      keepDuration: until === undefined ? 0 : durationNs(until),
      reservedSpace: parsed.number("reserved-space"),
      maxUsedSpace: parsed.number("max-used-space"),
      minFreeSpace: parsed.number("min-free-space"),
    });
    for await (const record of records) removed.push(record);
    const bytes = removed.reduce((sum, { Size }) => sum + Size, 0);
    context.print(
      removed.length === 0
        ? reclaimedLine(0)
        : `${tableText(removed, parsed.bool("verbose"))}Total:\t${humanSize(bytes)}\n`,
    );
    return 0;
  },
};

/** Nanoseconds of a Go duration such as `24h` or `1h30m`. Throws `CliError`. */
function durationNs(text: string): number {
  const duration = parseDuration(text);
  if (duration === undefined || duration < 0)
    throw new CliError(`invalid duration ${JSON.stringify(text)}: want such as 24h`);
  return duration;
}

export default command;
