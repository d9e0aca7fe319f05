/**
 * `npm run bench:compose`: gantry's compose on gantry beside Docker Compose 2.26 on Debian's dockerd: ten services up,
 * up again when nothing is to be done, and down. Rounds alternate; what counts are medians and their ratio.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compose2, service } from "../helpers/compose.ts";
import { busybox } from "../helpers/images.ts";
import { mustRun } from "../helpers/process.ts";
import { prepareHybridHost, startEngines } from "./engines.ts";
import { finish, median, type Measurement } from "./report.ts";

const rounds = Number(process.env["GANTRY_BENCH_ROUNDS"] ?? 9);
const serviceCount = 10;

/** What is measured, with the most that gantry may take of what Docker takes. */
const steps = [
  { name: `compose up -d of ${serviceCount} services`, args: ["up", "-d"], limit: 0.35 },
  { name: "compose up -d with nothing to do", args: ["up", "-d"], limit: 1 },
  { name: `compose down of ${serviceCount} services`, args: ["down"], limit: 0.5 },
] as const;

// The launcher is measured as users have it, without a look at every source file.
delete process.env["GANTRY_DEV"];
await prepareHybridHost();
const docker = await compose2();
if (docker === undefined)
  throw new Error("Docker Compose 2.26 cannot be had: there is nothing to compare with");
const root = await mkdtemp(join(tmpdir(), "gantry-bench-compose-"));
const results: Measurement[] = [];
try {
  const directory = join(root, "bench");
  await mkdir(directory);
  const services = Array.from(
    { length: serviceCount },
    (_, index) => `  s${index}: { image: ${busybox}, command: ${service()} }\n`,
  );
  await writeFile(join(directory, "compose.yaml"), `services:\n${services.join("")}`);
  await using engines = await startEngines();
  const samples = steps.map(() => ({ gantry: [] as number[], other: [] as number[] }));
  const time = async (argv: readonly string[], host?: string): Promise<number> => {
    const begun = performance.now();
    await mustRun(argv, {
      cwd: directory,
      timeoutMs: 60_000,
      ...(host === undefined ? {} : { env: { DOCKER_HOST: `unix://${host}` } }),
    });
    return performance.now() - begun;
  };
  for (let round = -1; round < rounds; round++) {
    for (const [index, { args }] of steps.entries()) {
      const gantry = (): Promise<number> => time(engines.gantry.gantryCommand(["compose", ...args]));
      const other = (): Promise<number> => time([...docker, ...args], engines.docker.socket);
      const isFirst = round % 2 === 0;
      const tookFirst = await (isFirst ? gantry() : other());
      const tookSecond = await (isFirst ? other() : gantry());
      if (round < 0) continue;
      samples[index]!.gantry.push(isFirst ? tookFirst : tookSecond);
      samples[index]!.other.push(isFirst ? tookSecond : tookFirst);
    }
  }
  for (const [index, { name, limit }] of steps.entries()) {
    const gantry = median(samples[index]!.gantry);
    const other = median(samples[index]!.other);
    const otherName = "Compose 2.26 on dockerd";
    results.push({ name, unit: "ms", gantry, other, otherName, ratio: gantry / other, limit });
  }
} finally {
  await rm(root, { recursive: true, force: true });
}
finish(results, rounds);
