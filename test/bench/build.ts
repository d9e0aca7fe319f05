/**
 * Builds beside Debian's dockerd with its classic builder, both asked by the same docker CLI (`DOCKER_BUILDKIT=0`): a
 * context of 5,000 files and 64 MB with five steps, with an empty cache and with a full one; and four stages of a second
 * each that do not wait for each other. `--only cached,cold,diamond` picks.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestDaemon } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { mustRun } from "../helpers/process.ts";
import { fileCount, makeContext } from "./build-context.ts";
import { type Engines, prepareHybridHost, startEngines } from "./engines.ts";
import { finish, type Measurement, median } from "./report.ts";

const rounds = Number(process.env["GANTRY_BENCH_ROUNDS"] ?? 5);
const only = process.argv[process.argv.indexOf("--only") + 1]?.split(",");
const isWanted = (name: string): boolean => !process.argv.includes("--only") || only!.includes(name);

function makeDiamond(directory: string): void {
  mkdirSync(directory, { recursive: true });
  const stages = [1, 2, 3, 4].map(
    (n) => `FROM ${busybox} AS s${n}\nRUN sleep 1; echo $(date +%N) ${n} > /out${n}\n`,
  );
  const joined = [1, 2, 3, 4].map((n) => `COPY --from=s${n} /out${n} /\n`).join("");
  writeFileSync(join(directory, "Dockerfile"), `${stages.join("")}FROM ${busybox}\n${joined}`);
}

const buildCommand = (daemon: TestDaemon, directory: string, args: readonly string[]): string[] => [
  "env",
  "DOCKER_BUILDKIT=0",
  ...daemon.dockerCommand(["build", ...args, directory]),
];

async function timed(daemon: TestDaemon, directory: string, args: readonly string[]): Promise<number> {
  const begun = performance.now();
  await mustRun(buildCommand(daemon, directory, args), { timeoutMs: 300_000 });
  return performance.now() - begun;
}

async function compare(
  engines: Engines,
  directory: string,
  what: { readonly name: string; readonly args: readonly string[]; readonly limit: number },
): Promise<Measurement> {
  const samples = { gantry: [] as number[], docker: [] as number[] };
  for (let round = -1; round < rounds; round++)
    for (const flavour of round % 2 === 0
      ? (["gantry", "docker"] as const)
      : (["docker", "gantry"] as const)) {
      const tookMs = await timed(engines[flavour], directory, ["-q", "-t", "bench/built", ...what.args]);
      if (round >= 0) samples[flavour].push(tookMs);
    }
  const [gantry, other] = [median(samples.gantry), median(samples.docker)];
  return {
    name: what.name,
    unit: "ms",
    gantry,
    other,
    otherName: "dockerd",
    ratio: gantry / other,
    limit: what.limit,
  };
}

async function measure(engines: Engines, directory: string): Promise<Measurement[]> {
  const results: Measurement[] = [];
  const context = join(directory, "context");
  const name = `build, ${fileCount} files, 64 MB, five steps`;
  makeContext(context);
  if (isWanted("cached"))
    results.push(await compare(engines, context, { name: `${name}, cached`, args: [], limit: 0.3 }));
  if (isWanted("cold"))
    results.push(
      await compare(engines, context, { name: `${name}, cold`, args: ["--no-cache"], limit: 0.6 }),
    );
  if (isWanted("diamond")) {
    const diamond = join(directory, "diamond");
    makeDiamond(diamond);
    const tookMs: number[] = [];
    for (let round = 0; round < rounds; round++)
      tookMs.push(await timed(engines.gantry, diamond, ["-q", "--no-cache"]));
    const gantry = median(tookMs);
    results.push({
      name: "build of four stages of 1 s each",
      unit: "ms",
      gantry,
      other: 2_000,
      otherName: "the wanted time",
      ratio: gantry / 2_000,
      limit: 1,
    });
  }
  return results;
}

await prepareHybridHost();
const directory = mkdtempSync(join(tmpdir(), "gantry-bench-build-"));
let results: Measurement[];
try {
  await using engines = await startEngines();
  results = await measure(engines, directory);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
finish(results, rounds);
