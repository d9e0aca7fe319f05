/**
 * `node test/bench/networks.ts`: what a network costs. The start of a container on the default bridge and on a network of
 * a user's beside the same without a network, by turns; and the last of 200 starts with five published ports each beside
 * the first. Ratios of one run; prints and ends as `bench.ts` does.
 */
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { gantryProgram, TestDaemon } from "../helpers/daemon.ts";
import { prepareHybridHost } from "./engines.ts";
import { finish, type Measurement, median } from "./report.ts";

const rounds = Number(process.env["GANTRY_BENCH_ROUNDS"] ?? 25);
const containerCount = Number(process.env["GANTRY_BENCH_CONTAINERS"] ?? 200);

/** Makes a container, and how long its start takes through the API: the command line is the same for all. */
async function startMs(daemon: TestDaemon, hostConfig: Record<string, unknown>): Promise<number> {
  const container = await daemon.client.createContainer({
    Image: busybox,
    Cmd: ["sleep", "3600"],
    HostConfig: hostConfig,
  });
  const begun = performance.now();
  await container.start();
  return performance.now() - begun;
}

async function compareModes(daemon: TestDaemon, modes: readonly string[]): Promise<number[]> {
  const samples = modes.map((): number[] => []);
  for (let round = -2; round < rounds; round++) {
    for (const [i, mode] of modes.entries()) {
      const tookMs = await startMs(daemon, { NetworkMode: mode });
      if (round >= 0) samples[i]!.push(tookMs);
      await daemon.removeContainers();
    }
  }
  return samples.map(median);
}

function ratio(name: string, [measured, base]: readonly [number, number], otherName: string): Measurement {
  return { name, unit: "ms", gantry: measured, other: base, otherName, ratio: measured / base, limit: 1.3 };
}

/** Starts containers with five published ports each; medians of the first ten and of the last ten. */
async function compareFirstAndLast(daemon: TestDaemon): Promise<[number, number]> {
  const samples: number[] = [];
  for (let n = 0; n < containerCount; n++) {
    const ports = [1, 2, 3, 4, 5].map((i): [string, { HostPort: string }[]] => [
      `${i}/tcp`,
      [{ HostPort: String(20_000 + n * 5 + i) }],
    ]);
    samples.push(await startMs(daemon, { NetworkMode: "bridge", PortBindings: Object.fromEntries(ports) }));
  }
  await daemon.removeContainers();
  return [median(samples.slice(-10)), median(samples.slice(0, 10))];
}

async function measure(): Promise<Measurement[]> {
  await using daemon = await TestDaemon.start({ flavour: "gantry" });
  await ensureBusybox(daemon);
  await daemon.dockerOk(["network", "create", "gt-bench"]);
  const [none = 0, bridge = 0, user = 0] = await compareModes(daemon, ["none", "bridge", "gt-bench"]);
  await daemon.dockerOk(["network", "rm", "gt-bench"]);
  return [
    ratio("start on the default bridge", [bridge, none], "--network none"),
    ratio("start on a network of a user's", [user, none], "--network none"),
    ratio(
      `start of the last of ${containerCount} containers with 5 ports each`,
      await compareFirstAndLast(daemon),
      "the first",
    ),
  ];
}

await prepareHybridHost();
process.stderr.write(`bench: ${rounds} rounds of each, ${gantryProgram}\n`);
finish(await measure(), rounds);
