/**
 * `node test/bench/life.ts`: containers in numbers and their output. A log of 30 MB, written until its last line is in the
 * json-file, and read; `docker ps -aq` with 1,000 containers that do not run; `docker stats --no-stream` with 50 that do.
 * Beside dockerd, by turns; prints and ends as `bench.ts` does. GANTRY_BENCH_ONLY (logs,ps,stats) leaves out the rest.
 */
import { statSync } from "node:fs";
import { busybox } from "../helpers/images.ts";
import { gantryProgram, type TestDaemon } from "../helpers/daemon.ts";
import { eventually, mustRun } from "../helpers/process.ts";
import { type Engines, prepareHybridHost, startEngines } from "./engines.ts";
import { finish, type Measurement, median } from "./report.ts";

const rounds = Number(process.env["GANTRY_BENCH_ROUNDS"] ?? 7);
const only = process.env["GANTRY_BENCH_ONLY"]?.split(",");
const isWanted = (name: string): boolean => only === undefined || only.includes(name);
const stoppedCount = 1000;
const runningCount = 50;
const logLines = 300_000;
/** `{"log":"…\n","stream":"stdout","time":"…"}` with a text of 100 bytes has more bytes than this. */
const leastLineBytes = 160;

type Step = (daemon: TestDaemon) => Promise<number>;

/** Medians of a step's ms with both engines, by turns; a first round warms up. */
async function compare(engines: Engines, step: Step): Promise<[number, number]> {
  const samples: [number[], number[]] = [[], []];
  for (let round = -1; round < rounds; round++)
    for (const which of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      const tookMs = await step(which === 0 ? engines.gantry : engines.docker);
      if (round >= 0) samples[which].push(tookMs);
    }
  return [median(samples[0]), median(samples[1])];
}

async function elapsedMs(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

function measurement(name: string, [gantry, other]: readonly [number, number], limit: number): Measurement {
  return { name, unit: "ms", gantry, other, otherName: "dockerd", ratio: gantry / other, limit };
}

/** Writes the log; over when the last line is where `LogPath` says. */
async function writeLog(daemon: TestDaemon): Promise<number> {
  await daemon.removeContainers();
  const script = `yes ${"x".repeat(99)} | head -n ${logLines}`;
  const id = await daemon.dockerOk(["create", "--name", "log", busybox, "sh", "-c", script]);
  return elapsedMs(async () => {
    await daemon.dockerOk(["start", "log"]);
    await daemon.dockerOk(["wait", "log"], { timeoutMs: 120_000 });
    const path = `${daemon.dataRoot}/containers/${id}/${id}-json.log`;
    await eventually(() => statSync(path).size >= logLines * leastLineBytes, {
      timeoutMs: 120_000,
      intervalMs: 5,
      what: "the whole log",
    });
  });
}

function readLog(daemon: TestDaemon): Promise<number> {
  const command = ["sh", "-c", `${daemon.dockerCommand(["logs", "log"]).join(" ")} > /dev/null`];
  return elapsedMs(() => mustRun(command, { timeoutMs: 120_000 }));
}

async function compareLogs(engines: Engines): Promise<Measurement[]> {
  const written = await compare(engines, writeLog);
  const read = await compare(engines, readLog);
  for (const daemon of [engines.gantry, engines.docker]) await daemon.removeContainers();
  return [
    measurement("30 MB of output until the last line is in the log", written, 1),
    measurement("docker logs of it", read, 1),
  ];
}

async function comparePs(engines: Engines): Promise<Measurement> {
  for (const { client } of [engines.gantry, engines.docker]) {
    let left = stoppedCount;
    const make = async (): Promise<void> => {
      while (left-- > 0) await client.createContainer({ Image: busybox, Cmd: ["true"] });
    };
    await Promise.all(Array.from({ length: 4 }, make));
  }
  const found = await compare(engines, (daemon) => elapsedMs(() => daemon.dockerOk(["ps", "-aq"])));
  return measurement(`docker ps -aq with ${stoppedCount} containers`, found, 0.5);
}

async function compareStats(engines: Engines): Promise<Measurement> {
  for (const daemon of [engines.gantry, engines.docker])
    for (let n = 0; n < runningCount; n++)
      await daemon.dockerOk(["run", "-d", "--network", "none", busybox, "sleep", "3600"]);
  const stats: Step = (daemon) =>
    elapsedMs(() => daemon.dockerOk(["stats", "--no-stream"], { timeoutMs: 60_000 }));
  const found = await compare(engines, stats);
  for (const daemon of [engines.gantry, engines.docker]) await daemon.removeContainers();
  return measurement(`docker stats --no-stream with ${runningCount} containers`, found, 1);
}

await prepareHybridHost();
process.stderr.write(`bench: ${rounds} rounds of each, ${gantryProgram}\n`);
const results: Measurement[] = [];
{
  await using engines = await startEngines();
  if (isWanted("logs")) results.push(...(await compareLogs(engines)));
  if (isWanted("stats")) results.push(await compareStats(engines));
  // Last: what it makes goes with the daemons.
  if (isWanted("ps")) results.push(await comparePs(engines));
}
finish(results, rounds);
