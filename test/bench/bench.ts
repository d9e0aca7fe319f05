/**
 * `npm run bench`: gantry beside Debian's dockerd, in one run, with the same docker CLI. Rounds alternate, so that a
 * noisy machine is as noisy for both; what counts are medians and their ratio.
 *
 * Prints a table, writes it as JSON where `--json FILE` says, and exits with 1 when a ratio is over its limit.
 */
import { busybox } from "../helpers/images.ts";
import { gantryProgram, type Flavour, type TestDaemon } from "../helpers/daemon.ts";
import { mustRun } from "../helpers/process.ts";
import { type Engines, memoryBytes, prepareHybridHost, startEngines } from "./engines.ts";
import { finish, type Measurement, median } from "./report.ts";

const rounds = Number(process.env["GANTRY_BENCH_ROUNDS"] ?? 25);
const containerCount = 20;

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
  await new Promise((resolve) => setTimeout(resolve, 10_000));
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

await prepareHybridHost();
// Started as users start it: set up already, and not looked at for edits.
delete process.env["GANTRY_DEV"];
process.stderr.write(`bench: ${rounds} rounds of each, ${gantryProgram}\n`);
const results = await measure();
finish(results, rounds);
