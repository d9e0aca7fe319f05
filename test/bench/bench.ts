/**
 * `npm run bench`: gantry beside Debian's dockerd, in one run, with the same docker CLI. Rounds alternate, so that a
 * noisy machine is as noisy for both; what counts are medians and their ratio.
 *
 * Prints a table, writes it as JSON where `--json FILE` says, and exits with 1 when a ratio is over its limit.
 */
import { writeFileSync } from "node:fs";
import { arch, cpus, release } from "node:os";
import { busybox } from "../helpers/images.ts";
import { gantryProgram, type Flavour, type TestDaemon } from "../helpers/daemon.ts";
import { mustRun } from "../helpers/process.ts";
import { type Engines, memoryBytes, prepareHybridHost, startEngines } from "./engines.ts";

interface Measurement {
  readonly name: string;
  readonly unit: "ms" | "MB";
  readonly gantry: number;
  /** Docker's figure, or the yardstick's. */
  readonly other: number;
  readonly otherName: string;
  readonly ratio: number;
  readonly limit: number;
}

const rounds = Number(process.env["GANTRY_BENCH_ROUNDS"] ?? 25);
const containerCount = 20;

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

async function elapsedMs(argv: readonly string[]): Promise<number> {
  const begun = performance.now();
  await mustRun(argv);
  return performance.now() - begun;
}

/** Medians of two commands, measured by turns; the first two rounds warm up and do not count. */
async function compare(first: readonly string[], second: readonly string[]): Promise<[number, number]> {
  const samples: [number[], number[]] = [[], []];
  for (let round = -2; round < rounds; round++) {
    const order = round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const);
    for (const which of order) {
      const tookMs = await elapsedMs(which === 0 ? first : second);
      if (round >= 0) samples[which].push(tookMs);
    }
  }
  return [median(samples[0]), median(samples[1])];
}

async function compareDocker(
  engines: Engines,
  name: string,
  args: readonly string[],
  limit: number,
): Promise<Measurement> {
  const [gantry, other] = await compare(
    engines.gantry.dockerCommand(args),
    engines.docker.dockerCommand(args),
  );
  return { name, unit: "ms", gantry, other, otherName: "dockerd", ratio: gantry / other, limit };
}

async function forBoth(engines: Engines, action: (daemon: TestDaemon) => Promise<unknown>): Promise<void> {
  for (const flavour of ["gantry", "docker"] satisfies Flavour[]) await action(engines[flavour]);
}

async function compareMemory(engines: Engines): Promise<Measurement> {
  await forBoth(engines, async (daemon) => {
    for (let n = 0; n < containerCount; n++)
      await daemon.dockerOk(["run", "-d", "--name", `memory-${n}`, busybox, "sleep", "3600"]);
  });
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  const gantry = memoryBytes(engines.gantry);
  const docker = memoryBytes(engines.docker);
  await forBoth(engines, (daemon) => daemon.removeContainers());
  const megabytes = (bytes: number): number => bytes / 1e6;
  return {
    name: `memory with ${containerCount} containers (${gantry.processes} and ${docker.processes} processes)`,
    unit: "MB",
    gantry: megabytes(gantry.bytes),
    other: megabytes(docker.bytes),
    otherName: "dockerd",
    ratio: gantry.bytes / docker.bytes,
    limit: 0.35,
  };
}

async function measure(): Promise<Measurement[]> {
  const results: Measurement[] = [];
  {
    await using engines = await startEngines();
    results.push(
      await compareDocker(engines, "docker run --rm busybox true", ["run", "--rm", busybox, "true"], 0.25),
    );
    await forBoth(engines, (daemon) =>
      daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sleep", "3600"]),
    );
    results.push(await compareDocker(engines, "docker exec box true", ["exec", "box", "true"], 0.5));
    await forBoth(engines, (daemon) => daemon.removeContainers());
    results.push(await compareMemory(engines));
    const version = engines.gantry.gantryCommand(["version"]);
    const [gantry, other] = await compare(version, [process.execPath, "-e", ""]);
    results.push({
      name: "gantry version",
      unit: "ms",
      gantry,
      other,
      otherName: "empty Node script",
      ratio: gantry / other,
      limit: 1.5,
    });
  }
  return results;
}

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

await prepareHybridHost();
process.stderr.write(`bench: ${rounds} rounds of each, ${gantryProgram}\n`);
const results = await measure();
process.stdout.write(table(results));
const jsonAt = process.argv.indexOf("--json");
const jsonPath = jsonAt === -1 ? undefined : process.argv[jsonAt + 1];
const machine = { kernel: release(), arch: arch(), cpus: cpus().length, model: cpus()[0]?.model };
if (jsonPath !== undefined)
  writeFileSync(jsonPath, `${JSON.stringify({ machine, rounds, results }, undefined, 2)}\n`);
process.exitCode = results.every(({ ratio, limit }) => ratio <= limit) ? 0 : 1;
