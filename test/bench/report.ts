/** What a benchmark found, as a table and as JSON. */
import { writeFileSync } from "node:fs";
import { arch, cpus, release } from "node:os";

export interface Measurement {
  readonly name: string;
  readonly unit: "µs" | "ms" | "MB";
  readonly gantry: number;
  /** Docker's figure, or the yardstick's. */
  readonly other: number;
  readonly otherName: string;
  readonly ratio: number;
  readonly limit: number;
}

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

function table(results: readonly Measurement[]): string {
  const rows = results.map(({ name, unit, gantry, other, otherName, ratio, limit }) => [
    name,
    `${gantry.toFixed(1)} ${unit}`,
    `${other.toFixed(1)} ${unit} (${otherName})`,
    ratio.toFixed(2),
    limit.toFixed(2),
    ratio <= limit ? "yes" : "NO",
  ]);
  const lines = [["measured", "gantry", "compared with", "ratio", "limit", "met"], ...rows];
  const widths =
    lines[0]?.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length))) ?? [];
  const text = lines.map(
    (line) => `| ${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`,
  );
  text.splice(1, 0, `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`);
  return `${text.join("\n")}\n`;
}

/** Prints the table, writes JSON where `--json FILE` says, and makes the process end with 1 when a limit is not met. */
export function finish(results: readonly Measurement[], rounds: number): void {
  process.stdout.write(table(results));
  const jsonAt = process.argv.indexOf("--json");
  const jsonPath = jsonAt === -1 ? undefined : process.argv[jsonAt + 1];
  const machine = { kernel: release(), arch: arch(), cpus: cpus().length, model: cpus()[0]?.model };
  if (jsonPath !== undefined)
    writeFileSync(jsonPath, `${JSON.stringify({ machine, rounds, results }, undefined, 2)}\n`);
  process.exitCode = results.every(({ ratio, limit }) => ratio <= limit) ? 0 : 1;
}
