import assert from "node:assert/strict";
import { test } from "node:test";
import { getHeapStatistics } from "node:v8";
import { EngineError } from "./errors.ts";
import { MemoryBudget } from "./memory-budget.ts";

const isRefusal = (error: unknown): boolean =>
  error instanceof EngineError &&
  error.kind === "resourceExhausted" &&
  /^too many of them: what is kept of them in memory would be more than \d+ MB$/.test(error.message);

test("texts and records count, and what is given back is there again", () => {
  const budget = new MemoryBudget("too many of them", { limitBytes: 10_000 });
  budget.take(9_000);
  assert.throws(() => budget.take(500), isRefusal);
  budget.give(500);
  budget.give(9_000);
  for (let n = 0; n < 19; n++) budget.take(0);
  assert.throws(() => budget.take(0), isRefusal);
});

test("without a limit it is a part of the heap", () => {
  const heapBytes = getHeapStatistics().heap_size_limit;
  new MemoryBudget("too many of them").take(heapBytes / 5);
  assert.throws(() => new MemoryBudget("too many of them").take(heapBytes / 3), isRefusal);
});
