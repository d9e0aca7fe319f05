/**
 * `npm run test:crash`: a daemon under a mixed load is killed at every fail point of the sources and at random moments,
 * and started again. After each time everything that it acknowledged is there, what ran still runs with its log
 * complete, and there is nothing else; at the end nothing at all is left.
 *
 * GANTRY_CRASH_POINTS is at how many fail points, chosen by the seed, or their names, or `all`; GANTRY_CRASH_KILLS how often
 * at random moments. GANTRY_CRASH_SEED repeats a run's requests. By themselves the tests take a short form.
 */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { describe, test } from "node:test";
import { CrashDriver } from "./driver.ts";
import { randomFrom } from "./load.ts";
import { failPoints, type Point } from "./points.ts";

const kills = Number(process.env["GANTRY_CRASH_KILLS"] ?? 8);
/** Asked for by name or number. */
const isLong =
  process.env["GANTRY_CRASH_POINTS"] !== undefined || process.env["GANTRY_CRASH_KILLS"] !== undefined;
/** The short form is the same each time: what it finds is of the change that it runs for. */
const seed = Number(process.env["GANTRY_CRASH_SEED"] ?? (isLong ? randomInt(1_000_000) : 1));
/** Everything is removed and looked for after so many kills. */
const roundLength = 10;

function chosenPoints(): Point[] {
  const asked = process.env["GANTRY_CRASH_POINTS"] ?? "6";
  const all = failPoints();
  if (asked === "all") return all;
  if (!/^\d+$/.test(asked)) {
    const names = asked.split(",");
    return all.filter(({ name }) => names.includes(name));
  }
  const random = randomFrom(seed);
  const shuffled = all.map((point) => ({ point, order: random() })).sort((a, b) => a.order - b.order);
  return shuffled.slice(0, Number(asked)).map(({ point }) => point);
}

describe("kill -9 under load", { skip: process.env["GANTRY_TEST_ENGINE"] === "docker" }, () => {
  const points = chosenPoints();

  test(
    `at ${points.length} fail points (seed ${seed})`,
    {
      timeout: 120_000 + points.length * 120_000,
    },
    async () => {
      await using driver = await CrashDriver.start(seed);
      const random = randomFrom(seed + 1);
      const missed: string[] = [];
      for (const [index, point] of points.entries()) {
        if (!(await driver.killAt(point, 1 + Math.floor(random() * 2)))) missed.push(point.name);
        if ((index + 1) % roundLength === 0) {
          await driver.requireNothingLeft();
          console.log(`# killed at ${index + 1} of ${points.length} fail points`);
        }
      }
      await driver.requireNothingLeft();
      if (missed.length > 0) console.log(`# not passed by the load: ${missed.join(", ")}`);
      // The short form shares its machine with other tests: its load may be too little.
      if (isLong) assert.deepEqual(missed, [], "fail points that the load did not pass");
      console.log(`# ${points.length} fail points survived, ${driver.requests} requests, seed ${seed}`);
    },
  );

  test(`at ${kills} random moments (seed ${seed})`, { timeout: 120_000 + kills * 60_000 }, async () => {
    await using driver = await CrashDriver.start(seed);
    for (let kill = 1; kill <= kills; kill += 1) {
      await driver.killAtRandom();
      if (kill % roundLength === 0) {
        await driver.requireNothingLeft();
        console.log(`# ${kill} of ${kills} kills survived, ${driver.requests} requests`);
      }
    }
    await driver.requireNothingLeft();
    assert.ok(driver.requests > kills || kills === 0, "the load was none");
    console.log(`# ${kills} kills survived, ${driver.requests} requests, seed ${seed}`);
  });
});
