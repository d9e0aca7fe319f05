/** What a daemon uses and how soon it answers, taken again and again, and whether it grows. */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TestDaemon } from "../helpers/daemon.ts";

export interface Sample {
  readonly atS: number;
  readonly memoryMib: number;
  readonly descriptors: number;
  /** Of one list of all containers, in ms: the quickest of some, which says least of what else the machine does. */
  readonly listMs: number;
  /** Of one inspection, in ms: the quickest of some. */
  readonly inspectMs: number;
}

const askedEachTime = 5;

export async function takeSample(daemon: TestDaemon, startedMs: number): Promise<Sample> {
  const status = readFileSync(`/proc/${daemon.pid}/status`, "utf8");
  const list = async (): Promise<unknown> => daemon.client.listContainers({ all: true });
  const [first] = await daemon.client.listContainers({ all: true, limit: 1 });
  const inspect = async (): Promise<unknown> =>
    first === undefined
      ? daemon.client.ping()
      : daemon.client
          .getContainer(first.Id)
          .inspect()
          .catch(() => {});
  return {
    atS: Math.round((performance.now() - startedMs) / 1000),
    memoryMib: Number(/^VmRSS:\s*(\d+)/m.exec(status)?.[1] ?? 0) / 1024,
    descriptors: readdirSync(`/proc/${daemon.pid}/fd`).length,
    listMs: await quickestMs(list),
    inspectMs: await quickestMs(inspect),
  };
}

async function quickestMs(ask: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < askedEachTime; count += 1) {
    const begun = performance.now();
    await ask();
    times.push(performance.now() - begun);
  }
  return Math.min(...times);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

export interface Growth {
  readonly what: string;
  readonly early: number;
  readonly late: number;
  readonly isGrowing: boolean;
}

/** Garbage is collected when the processor has time for it: only what goes far beyond that is growth. */
const mostGarbage = 2;
const slackMib = 48;
const slackDescriptors = 32;
const slackMs = 25;

/** The second fifth of the samples beside the last: what is filled once was filled in the first. */
export function growthOf(samples: readonly Sample[]): Growth[] {
  const fifth = Math.max(1, Math.floor(samples.length / 5));
  const early = samples.slice(fifth, 2 * fifth);
  const late = samples.slice(-fifth);
  const row = (
    what: string,
    value: (sample: Sample) => number,
    mayGrow: (early: number) => number,
  ): Growth => {
    const before = median(early.map(value));
    const after = median(late.map(value));
    return { what, early: before, late: after, isGrowing: after > mayGrow(before) };
  };
  return [
    row(
      "memory, MiB",
      (sample) => sample.memoryMib,
      (value) => value * mostGarbage + slackMib,
    ),
    row(
      "descriptors",
      (sample) => sample.descriptors,
      (value) => value * 1.05 + slackDescriptors,
    ),
    row(
      "list, ms",
      (sample) => sample.listMs,
      (value) => value * 2 + slackMs,
    ),
    row(
      "inspect, ms",
      (sample) => sample.inspectMs,
      (value) => value * 2 + slackMs,
    ),
  ];
}

const heapLimitMs = 120_000;

/** What has the daemon in `root` write what lives in its heap, when it gets SIGUSR2. */
export function heapEnvironment(root: string): Record<string, string> {
  const directory = join(root, "heap");
  mkdirSync(directory, { recursive: true });
  return { NODE_OPTIONS: `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${directory}` };
}

/** Size of a snapshot of the heap after a collection, MiB: everything that is alive has a line in it. */
export async function heapMib(daemon: TestDaemon): Promise<number> {
  const directory = join(daemon.root, "heap");
  daemon.signal("SIGUSR2");
  const deadline = performance.now() + heapLimitMs;
  for (let before = -1; ;) {
    await sleep(1_000);
    const [name] = readdirSync(directory);
    const size = name === undefined ? 0 : statSync(join(directory, name)).size;
    if (name !== undefined && size > 0 && size === before) {
      rmSync(join(directory, name));
      return size / 1024 ** 2;
    }
    if (performance.now() > deadline) throw new Error("the daemon wrote no snapshot of its heap");
    before = size;
  }
}

/** What lives in the heap early and late, as {@link heapMib} says. */
export function heapGrowth(early: number, late: number): Growth {
  return { what: "alive in the heap, MiB", early, late, isGrowing: late > early * 1.15 + 2 };
}
