import assert from "node:assert/strict";
import { test } from "node:test";
import { amountReporter } from "./progress-report.ts";

test("amounts are told ten times a second at most, also when the machine's clock is put back", (t) => {
  let passedMs = 5_000;
  let clockMs = Date.UTC(2036, 0, 1);
  t.mock.method(performance, "now", () => passedMs);
  t.mock.method(Date, "now", () => clockMs);
  const told: number[] = [];
  const report = amountReporter((message) => told.push(message.progressDetail?.current ?? -1), {
    id: "layer",
    total: 100,
  });
  report("Downloading", 1);
  report("Downloading", 2);
  clockMs = Date.UTC(1970, 0, 1);
  passedMs += 100;
  report("Downloading", 3);
  assert.deepEqual(told, [1, 3]);
});
