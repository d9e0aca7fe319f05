import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeLimits } from "./container-update.ts";

test("what is zero stays, what is set changes", () => {
  const current = { Memory: 100, MemorySwap: 200, CpusetCpus: "0", PidsLimit: 5 };
  assert.deepEqual(mergeLimits(current, { Memory: 150, CpusetCpus: "", PidsLimit: null }), {
    ...current,
    Memory: 150,
  });
  assert.deepEqual(mergeLimits(current, { PidsLimit: -1 }), { ...current, PidsLimit: null });
  assert.equal(mergeLimits(current, { Memory: 300, MemorySwap: -1 }).MemorySwap, -1);
});

test("what contradicts", () => {
  assert.throws(
    () => mergeLimits({ MemorySwap: 200 }, { Memory: 300 }),
    /update the memoryswap at the same time/,
  );
  assert.throws(
    () => mergeLimits({ CpuPeriod: 1000 }, { NanoCpus: 1 }),
    /Nano CPUs cannot be updated as CPU Period/,
  );
  assert.throws(
    () => mergeLimits({ NanoCpus: 1 }, { CpuQuota: 1000 }),
    /CPU Quota cannot be updated as NanoCPUs/,
  );
});
