import assert from "node:assert/strict";
import { test } from "node:test";
import { isPassingStatus, pauseMs, retryAfterMs } from "./retry.ts";

test("Retry-After", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  const rows: [header: string | undefined, expected: number | undefined][] = [
    [undefined, undefined],
    ["3", 3000],
    ["0", 0],
    ["Thu, 01 Jan 2026 00:00:05 GMT", 5000],
    ["Thu, 01 Jan 2015 00:00:05 GMT", 0],
    ["soon", undefined],
  ];
  for (const [header, expected] of rows) assert.equal(retryAfterMs(header, now), expected, String(header));
});

test("how long is waited", () => {
  const half = 0.5;
  assert.equal(pauseMs({ failures: 1, baseMs: 500, askedMs: undefined }, half), 500);
  assert.equal(pauseMs({ failures: 3, baseMs: 500, askedMs: undefined }, half), 2000);
  assert.equal(pauseMs({ failures: 30, baseMs: 500, askedMs: undefined }, half), 10_000);
  assert.equal(pauseMs({ failures: 1, baseMs: 500, askedMs: 7000 }, half), 7000);
  assert.equal(pauseMs({ failures: 1, baseMs: 500, askedMs: 3_600_000 }, half), undefined);
});

test("statuses that pass", () => {
  assert.deepEqual(
    [200, 400, 401, 404, 408, 429, 500, 501, 502, 503, 504].filter(isPassingStatus),
    [408, 429, 500, 502, 503, 504],
  );
});
