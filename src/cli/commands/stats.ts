import { setTimeout as sleep } from "node:timers/promises";
import { ClientError } from "../../client/errors.ts";
import type { ContainerStats } from "../../wire/stats.ts";
import type { Command, CommandContext } from "../command.ts";
import { defaultStatsFormat, statsListing, type StatsRow } from "../output/stats.ts";
import { renderListing } from "../output/table.ts";
import type { ParsedArguments } from "../parser.ts";

/** How often the table is drawn anew, in ms. */
const drawMs = 500;
const clearScreen = "\u001b[2J\u001b[H";

const command: Command = {
  path: "stats",
  aliases: ["container stats"],
  usage: "[OPTIONS] [CONTAINER...]",
  short: "Show what containers use, as it changes",
  section: "other",
  flags: [
    { name: "all", short: "a", type: "bool", help: "Also containers that do not run" },
    {
      name: "format",
      type: "string",
      help: "Format: 'table', 'table TEMPLATE', 'json' or a Go template for each container",
    },
    { name: "no-stream", type: "bool", help: "Show one result and end" },
    { name: "no-trunc", type: "bool", help: "Show whole IDs" },
  ],
  args: { min: 0 },
  completes: "running-containers",
  async run(context, parsed) {
    const format = formatOf(parsed.string("format"));
    const isTruncated = !parsed.bool("no-trunc");
    const render = (rows: readonly Omit<StatsRow, "isTruncated">[]): string =>
      renderListing(
        statsListing,
        rows.map((row) => ({ ...row, isTruncated })),
        format,
      );
    // A template that is wrong is told before anything is asked.
    render([]);
    if (parsed.bool("no-stream")) {
      const names = await namesOf(context, parsed);
      context.print(render(await Promise.all(names.map((name) => once(context, name)))));
      return 0;
    }
    await follow(context, parsed, render);
    return 0;
  },
};

export default command;

function formatOf(text: string): string {
  return text === "" || text === "table" ? defaultStatsFormat : text;
}

async function namesOf(context: CommandContext, parsed: ParsedArguments): Promise<string[]> {
  if (parsed.positional.length > 0) return [...parsed.positional];
  const containers = await context.client.containerList({ all: parsed.bool("all") });
  return containers.map(({ Id }) => Id.slice(0, 12));
}

async function once(
  context: CommandContext,
  container: string,
): Promise<{ container: string; stats: ContainerStats | undefined }> {
  for await (const stats of context.client.containerStats(container, { stream: false }))
    return { container, stats };
  return { container, stats: undefined };
}

/** Draws until it is interrupted, or until none of the containers that were named is there any more. */
async function follow(
  context: CommandContext,
  parsed: ParsedArguments,
  render: (rows: readonly { container: string; stats: ContainerStats | undefined }[]) => string,
): Promise<void> {
  const latest = new Map<string, ContainerStats | undefined>();
  const isNamed = parsed.positional.length > 0;
  const failures: unknown[] = [];
  const watch = async (name: string): Promise<void> => {
    if (latest.has(name)) return;
    latest.set(name, undefined);
    try {
      for await (const stats of context.client.containerStats(name)) latest.set(name, stats);
    } catch (error) {
      // Without names it is nobody's mistake that a container has gone.
      if (isNamed || !(error instanceof ClientError && error.status === 404)) failures.push(error);
    }
    latest.delete(name);
  };
  const isTerminal = context.stdout.isTTY;
  for (const name of await namesOf(context, parsed)) void watch(name);
  for (;;) {
    await sleep(drawMs);
    if (failures.length > 0) throw failures[0];
    const rows = [...latest].map(([container, stats]) => ({ container, stats }));
    context.print(`${isTerminal ? clearScreen : ""}${render(rows)}`);
    if (isNamed && latest.size === 0) return;
    if (isNamed) continue;
    const names = await namesOf(context, parsed);
    for (const name of names) void watch(name);
    if (!parsed.bool("all")) for (const name of latest.keys()) if (!names.includes(name)) latest.delete(name);
  }
}
