import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { Leftovers } from "./leftovers.ts";
import { setLogLevel } from "./log.ts";

/** Lets promises settle that wait for nothing but each other. */
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
};

describe("leftovers", () => {
  beforeEach(() => {
    setLogLevel("fatal");
    mock.timers.enable({ apis: ["setTimeout"] });
  });
  afterEach(() => {
    mock.timers.reset();
    setLogLevel("info");
  });

  /** A step that fails so many times. */
  const failing = (times: number): { readonly step: () => Promise<void>; calls: number } => {
    const made = {
      calls: 0,
      step: () => {
        made.calls++;
        return made.calls <= times ? Promise.reject(new Error(`no ${made.calls}`)) : Promise.resolve();
      },
    };
    return made;
  };

  test("what works is done once and forgotten", async () => {
    const leftovers = new Leftovers();
    const work = failing(0);
    assert.equal(await leftovers.run("a", "do it", work.step), true);
    assert.equal(leftovers.count, 0);
    mock.timers.tick(600_000);
    await settled();
    assert.equal(work.calls, 1);
  });

  test("what fails is tried again, slower and slower, until it works", async () => {
    const leftovers = new Leftovers();
    const work = failing(3);
    assert.equal(await leftovers.run("a", "do it", work.step), false);
    for (const [afterMs, calls] of [
      [999, 1],
      [1, 2],
      [1_999, 2],
      [1, 3],
      [3_999, 3],
      [1, 4],
    ] as const) {
      mock.timers.tick(afterMs);
      await settled();
      assert.equal(work.calls, calls);
    }
    assert.equal(leftovers.count, 0);
  });

  test("the longest wait is a minute", async () => {
    const leftovers = new Leftovers();
    const work = failing(100);
    await leftovers.run("a", "do it", work.step);
    for (let minute = 0; minute < 20; minute++) {
      mock.timers.tick(60_000);
      await settled();
    }
    assert.ok(work.calls >= 15, `${work.calls} attempts in 20 minutes`);
    leftovers.close();
    assert.equal(leftovers.count, 0);
  });

  test("finish tries at once, throws what stands in the way, and is nothing when nothing is left", async () => {
    const leftovers = new Leftovers();
    const work = failing(2);
    await leftovers.run("a", "do it", work.step);
    await assert.rejects(leftovers.finish("a"), /no 2/);
    await leftovers.finish("a");
    await leftovers.finish("a");
    assert.equal(work.calls, 3);
    mock.timers.tick(600_000);
    await settled();
    assert.equal(work.calls, 3);
  });

  test("a later step of the same key takes the place of the one that is left", async () => {
    const leftovers = new Leftovers();
    const [first, second] = [failing(9), failing(0)];
    await leftovers.run("a", "do it", first.step);
    assert.equal(await leftovers.run("a", "do it", second.step), true);
    mock.timers.tick(600_000);
    await settled();
    assert.deepEqual([first.calls, second.calls, leftovers.count], [1, 1, 0]);
  });
});
