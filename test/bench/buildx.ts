/**
 * `gantry build` beside `docker buildx build` on a dockerd with BuildKit, such as Debian 13's: the same context, cached and
 * cold. `GANTRY_BENCH_DOCKERD` names a directory with its programs (dockerd, containerd, containerd-shim-runc-v2); without
 * it PATH's are taken. buildx is looked for where test/helpers/buildx.ts says. `--only cached,cold` picks.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildxConfig, findBuildx } from "../helpers/buildx.ts";
import { TestDaemon } from "../helpers/daemon.ts";
import { ensureBusybox } from "../helpers/images.ts";
import { mustRun } from "../helpers/process.ts";
import { fileCount, makeContext } from "./build-context.ts";
import { prepareHybridHost } from "./engines.ts";
import { finish, type Measurement, median } from "./report.ts";

const rounds = Number(process.env["GANTRY_BENCH_ROUNDS"] ?? 5);
const programs = process.env["GANTRY_BENCH_DOCKERD"];
const only = process.argv[process.argv.indexOf("--only") + 1]?.split(",");
const isWanted = (name: string): boolean => !process.argv.includes("--only") || only!.includes(name);

interface Sides {
  readonly gantry: () => readonly string[];
  readonly other: () => readonly string[];
}

async function timed(argv: readonly string[], env: Record<string, string>): Promise<number> {
  const begun = performance.now();
  await mustRun(argv, { timeoutMs: 300_000, env });
  return performance.now() - begun;
}

/** Medians, measured by turns; the first round warms up and does not count. */
async function compare(
  name: string,
  limit: number,
  sides: Sides,
  env: Record<string, string>,
): Promise<Measurement> {
  const samples = { gantry: [] as number[], other: [] as number[] };
  for (let round = -1; round < rounds; round++)
    for (const side of round % 2 === 0 ? (["gantry", "other"] as const) : (["other", "gantry"] as const)) {
      const tookMs = await timed(sides[side](), env);
      if (round >= 0) samples[side].push(tookMs);
    }
  const [gantry, other] = [median(samples.gantry), median(samples.other)];
  return { name, unit: "ms", gantry, other, otherName: "buildx on dockerd", ratio: gantry / other, limit };
}

const plugin = await findBuildx();
if (plugin === undefined) throw new Error("docker-buildx cannot be had");
await prepareHybridHost();
const directory = mkdtempSync(join(tmpdir(), "gantry-bench-buildx-"));
const config = await buildxConfig(plugin);
const results: Measurement[] = [];
try {
  await using gantry = await TestDaemon.start({ flavour: "gantry" });
  await using docker = await TestDaemon.start({
    flavour: "docker",
    ...(programs === undefined ? {} : { env: { PATH: `${programs}:${process.env["PATH"] ?? ""}` } }),
  });
  await ensureBusybox(gantry);
  await ensureBusybox(docker);
  const context = join(directory, "context");
  makeContext(context);
  const env = { DOCKER_CONFIG: config, BUILDX_CONFIG: join(config, "buildx") };
  const sides = (...flags: string[]): Sides => {
    const args = ["build", "-q", "-t", "bench/built", ...flags, context];
    return {
      gantry: () => gantry.gantryCommand(args),
      other: () => docker.dockerCommand(["buildx", ...args]),
    };
  };
  const name = `build, ${fileCount} files, 64 MB, five steps`;
  if (isWanted("cached")) results.push(await compare(`${name}, cached`, 0.8, sides(), env));
  if (isWanted("cold")) results.push(await compare(`${name}, cold`, 0.8, sides("--no-cache"), env));
} finally {
  rmSync(directory, { recursive: true, force: true });
  rmSync(config, { recursive: true, force: true });
}
finish(results, rounds);
