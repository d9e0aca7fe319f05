import assert from "node:assert/strict";
import { test } from "node:test";
import { getHeapStatistics } from "node:v8";
import { EngineError } from "./errors.ts";
import { MemoryBudget } from "./memory-budget.ts";

const heapBytes = getHeapStatistics().heap_size_limit;

const part = (of: number): number => Math.floor(heapBytes / of);

const isRefusal = (error: unknown): boolean =>
  error instanceof EngineError &&
  error.kind === "resourceExhausted" &&
  /^too many of them: what is kept of them in memory would be more than \d+ MB$/.test(error.message);

const isRefusalForOthers = (error: unknown): boolean =>
  error instanceof EngineError &&
  error.kind === "resourceExhausted" &&
  /^too many of them: what is kept .* more than \d+ MB with what other requests keep; try again/.test(
    error.message,
  );

test("texts and records count, and what is given back is there again", () => {
  using budget = new MemoryBudget("too many of them", { limitBytes: 10_000 });
  budget.take(9_000);
  assert.throws(() => budget.take(500), isRefusal);
  budget.give(500);
  budget.give(9_000);
  for (let n = 0; n < 19; n++) budget.take(0);
  assert.throws(() => budget.take(0), isRefusal);
});

test("without a limit it is a part of the heap", () => {
  using small = new MemoryBudget("too many of them");
  small.take(part(7));
  using large = new MemoryBudget("too many of them");
  assert.throws(() => large.take(part(3)), isRefusal);
});

test("lists that each fit do not fill the heap together, and what has ended makes room", () => {
  assert.equal(MemoryBudget.keptBytes, 0);
  using open = new DisposableStack();
  const list = (): MemoryBudget => open.use(new MemoryBudget("too many of them"));
  const first = list();
  first.take(part(7));
  list().take(part(7));
  const third = list();
  assert.throws(() => third.take(part(7)), isRefusalForOthers);
  third[Symbol.dispose]();
  // A usual request is served beside huge ones.
  const usual = list();
  usual.take(part(300));
  first[Symbol.dispose]();
  list().take(part(7));
  open.dispose();
  assert.equal(MemoryBudget.keptBytes, 0);
});

test("small lists are refused when they are no longer small", () => {
  using others = new DisposableStack();
  for (let n = 0; n < 3; n++) {
    const budget = others.use(new MemoryBudget("too many of them", { limitBytes: heapBytes }));
    if (n < 2) budget.take(part(7));
    else assert.throws(() => budget.take(part(7)), isRefusalForOthers);
  }
  using usual = new MemoryBudget("too many of them");
  usual.take(part(300));
  assert.throws(() => usual.take(part(300)), isRefusalForOthers);
});

test("a list that has ended takes nothing more, and gives back once", () => {
  const budget = new MemoryBudget("too many of them");
  budget.take(1_000);
  budget[Symbol.dispose]();
  budget[Symbol.dispose]();
  budget.give(1_000);
  assert.equal(MemoryBudget.keptBytes, 0);
  assert.throws(() => budget.take(1_000), /the list has ended/);
  assert.equal(MemoryBudget.keptBytes, 0);
});
