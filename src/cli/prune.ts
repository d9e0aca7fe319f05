import { createInterface } from "node:readline/promises";
import type { CommandContext } from "./command.ts";
import { CliError } from "./errors.ts";
import type { FlagSpec } from "./flags.ts";
import { humanSize } from "./output/humanize.ts";
import type { ParsedArguments } from "./parser.ts";

/** Flags of every prune. */
export const pruneFlags: readonly FlagSpec[] = [
  { name: "filter", type: "filter", help: 'Only what the filter fits, such as "label=x" or "until=24h"' },
  { name: "force", short: "f", type: "bool", help: "Do not ask" },
];

/** Asks, unless it is forced. Throws an empty `CliError` with exit code 0 when the answer is not yes. */
export async function confirmPrune(
  context: CommandContext,
  parsed: ParsedArguments,
  { warning }: { warning: string },
): Promise<void> {
  if (parsed.bool("force")) return;
  if (!(await confirm(context, `${warning}\nAre you sure you want to continue? [y/N] `))) {
    // As with Docker saying no is no failure, and there is nothing more to say.
    throw new CliError("", 0);
  }
}

/** {@link confirmPrune} of build cache, `--all` or what no image has. */
export function confirmCachePrune(context: CommandContext, parsed: ParsedArguments): Promise<void> {
  const which = parsed.bool("all") ? "all" : "all dangling";
  return confirmPrune(context, parsed, { warning: `WARNING! This will remove ${which} build cache.` });
}

/** Asks a question that `y` says yes to, and everything else no. */
export async function confirm(context: CommandContext, question: string): Promise<boolean> {
  context.print(question);
  const lines = createInterface({ input: context.stdin });
  try {
    const next = await lines[Symbol.asyncIterator]().next();
    const answer = next.done === true ? "" : next.value;
    return answer.trim().toLowerCase() === "y";
  } finally {
    lines.close();
  }
}

/** What was removed, and how much room that gave. */
export function pruneReport(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : `${title}:\n${lines.join("\n")}\n\n`;
}

export function reclaimedLine(bytes: number): string {
  return `Total reclaimed space: ${humanSize(bytes)}\n`;
}

/** The lines for removed images. */
export function imageLines(
  removed: readonly { readonly Untagged?: string; readonly Deleted?: string }[],
): string[] {
  return removed.map(({ Untagged, Deleted }) =>
    Untagged !== undefined && Untagged !== "" ? `untagged: ${Untagged}` : `deleted: ${Deleted ?? ""}`,
  );
}
