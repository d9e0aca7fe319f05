/** What a daemon uses and how soon it answers, taken again and again, and whether it grows. */
import { readdirSync, readFileSync } from "node:fs";
import type { TestDaemon } from "../helpers/daemon.ts";

export interface Sample {
  readonly atS: number;
  readonly memoryMib: number;
  readonly descriptors: number;
  /** Of one list of all containers, in ms: the median of some. */
  readonly listMs: number;
  /** Of one inspection, in ms: the median of some. */
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
    listMs: await medianMs(list),
    inspectMs: await medianMs(inspect),
  };
}

async function medianMs(ask: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < askedEachTime; count += 1) {
    const begun = performance.now();
    await ask();
    times.push(performance.now() - begun);
  }
  return median(times);
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

/** A garbage collector's heap breathes: so much is none. */
const slackMib = 24;
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
      (value) => value * 1.15 + slackMib,
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
