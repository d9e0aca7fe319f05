import assert from "node:assert/strict";
import { test } from "node:test";
import type { HostConfig } from "../wire/container.ts";
import { contradictingLimits, mergeLimits } from "./container-update.ts";

test("what is zero stays, what is set changes", () => {
  const current = { Memory: 100, MemorySwap: 200, CpusetCpus: "0", PidsLimit: 5 };
  assert.deepEqual(mergeLimits(current, { Memory: 150, CpusetCpus: "", PidsLimit: null }), {
    ...current,
    Memory: 150,
  });
  assert.deepEqual(mergeLimits(current, { PidsLimit: -1 }), { ...current, PidsLimit: null });
  assert.equal(mergeLimits(current, { Memory: 300, MemorySwap: -1 }).MemorySwap, -1);
});

const swapToo =
  "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time";
const already = (what: string, set: string): string =>
  `Conflicting options: ${what} cannot be updated as ${set} has already been set`;

// What dockerd 26.1 answers to each.
const contradictions: readonly (readonly [
  current: HostConfig,
  change: HostConfig,
  words: string | undefined,
])[] = [
  [{ Memory: 100, MemorySwap: 200 }, { Memory: 300 }, swapToo],
  [{ Memory: 100, MemorySwap: 200 }, { Memory: 200 }, undefined],
  [{ Memory: 100, MemorySwap: 200 }, { Memory: 50 }, undefined],
  [{ Memory: 100, MemorySwap: 200 }, { Memory: 300, MemorySwap: 400 }, undefined],
  [{ Memory: 100, MemorySwap: 200 }, { MemorySwap: 150 }, undefined],
  // A container without a limit of memory, or of swap.
  [{}, { Memory: 300 }, swapToo],
  [{ Memory: 0, MemorySwap: 0 }, { Memory: 300 }, swapToo],
  [{ Memory: 0, MemorySwap: 0 }, { Memory: 300, MemorySwap: -1 }, undefined],
  [{ Memory: 100, MemorySwap: -1 }, { Memory: 300 }, swapToo],
  [{ Memory: 100, MemorySwap: -1 }, { Memory: 50 }, swapToo],
  [{ Memory: 100, MemorySwap: -1 }, { Memory: 50, MemorySwap: -1 }, undefined],
  [{ Memory: 0, MemorySwap: 0 }, { MemorySwap: -1 }, undefined],
  [{ CpuPeriod: 1000 }, { NanoCpus: 1 }, already("Nano CPUs", "CPU Period")],
  [{ CpuQuota: 1000 }, { NanoCpus: 1 }, already("Nano CPUs", "CPU Quota")],
  [{ NanoCpus: 1 }, { CpuPeriod: 1000 }, already("CPU Period", "NanoCPUs")],
  [{ NanoCpus: 1 }, { CpuQuota: 1000 }, already("CPU Quota", "NanoCPUs")],
  [{ NanoCpus: 1 }, { NanoCpus: 2 }, undefined],
];

for (const [current, change, words] of contradictions)
  test(`${JSON.stringify(change)} on ${JSON.stringify(current)}`, () =>
    assert.equal(contradictingLimits(current, change), words));
