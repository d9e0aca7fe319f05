import assert from "node:assert/strict";
import { test } from "node:test";
import type { HealthLogEntry } from "../wire/container.ts";
import {
  afterProbe,
  healthTimes,
  maxProbeOutputBytes,
  nextProbeMs,
  probeCommand,
  ProbeOutput,
  startingHealth,
  type HealthState,
} from "./health.ts";

const second = 1_000_000_000;
const result = (ExitCode: number): HealthLogEntry => ({ Start: "", End: "", ExitCode, Output: "" });

test("what a probe runs", () => {
  const cases: [string[] | null, string[] | undefined, string[] | undefined][] = [
    [null, undefined, undefined],
    [[], undefined, undefined],
    [["NONE"], undefined, undefined],
    [["CMD", "check", "-v"], undefined, ["check", "-v"]],
    [["CMD-SHELL", "check | grep ok"], undefined, ["/bin/sh", "-c", "check | grep ok"]],
    [
      ["CMD-SHELL", "check"],
      ["/bin/bash", "-ec"],
      ["/bin/bash", "-ec", "check"],
    ],
  ];
  for (const [Test, Shell, words] of cases)
    assert.deepEqual(probeCommand({ Healthcheck: { Test }, ...(Shell && { Shell }) }), words);
  assert.equal(probeCommand({}), undefined);
});

test("defaults of the times are Docker's", () => {
  assert.deepEqual(healthTimes({}), {
    intervalMs: 30_000,
    timeoutMs: 30_000,
    startPeriodMs: 0,
    startIntervalMs: 5000,
    retries: 3,
  });
  assert.equal(healthTimes({ Interval: 1_500_000 }).intervalMs, 1.5);
});

test("status by a row of results", () => {
  const inPeriod = 1000;
  const after = 60_000;
  const cases: [name: string, [exitCode: number, ranMs: number][], HealthState["status"], number][] = [
    ["first success", [[0, inPeriod]], "healthy", 0],
    [
      "failures in the start period do not count",
      [
        [1, inPeriod],
        [1, inPeriod],
        [1, inPeriod],
        [1, inPeriod],
      ],
      "starting",
      0,
    ],
    [
      "after it they do",
      [
        [1, inPeriod],
        [1, after],
        [1, after],
      ],
      "starting",
      2,
    ],
    [
      "retries in a row",
      [
        [1, after],
        [2, after],
        [-1, after],
      ],
      "unhealthy",
      3,
    ],
    [
      "once healthy, the start period does not protect",
      [
        [0, inPeriod],
        [1, inPeriod],
        [1, inPeriod],
        [1, inPeriod],
      ],
      "unhealthy",
      3,
    ],
    [
      "a success in between sets the count back",
      [
        [1, after],
        [1, after],
        [0, after],
        [1, after],
        [1, after],
      ],
      "healthy",
      2,
    ],
    [
      "and makes it healthy again",
      [
        [1, after],
        [1, after],
        [1, after],
        [0, after],
      ],
      "healthy",
      0,
    ],
  ];
  const times = healthTimes({ StartPeriod: 30 * second });
  for (const [name, results, status, streak] of cases) {
    let health = startingHealth(undefined);
    for (const [exitCode, ranMs] of results) health = afterProbe(health, result(exitCode), { times, ranMs });
    assert.deepEqual([health.status, health.failingStreak], [status, streak], name);
  }
});

test("the last five results are kept, over a restart too", () => {
  let health = startingHealth(undefined);
  const times = healthTimes({});
  for (let n = 0; n < 7; n++) health = afterProbe(health, result(n), { times, ranMs: 0 });
  assert.deepEqual(
    startingHealth(health).log.map(({ ExitCode }) => ExitCode),
    [2, 3, 4, 5, 6],
  );
});

test("the start interval holds while starting inside the start period", () => {
  const times = healthTimes({ StartPeriod: 30 * second, StartInterval: 2 * second, Interval: 7 * second });
  const starting = startingHealth(undefined);
  assert.equal(nextProbeMs(starting, times, 0), 2000);
  assert.equal(nextProbeMs(starting, times, 30_000), 7000);
  assert.equal(nextProbeMs({ ...starting, status: "healthy" }, times, 0), 7000);
});

test("output is cut at the limit", () => {
  const output = new ProbeOutput();
  output.add(Buffer.alloc(maxProbeOutputBytes - 1, "x"));
  output.add(Buffer.from("yz"));
  output.add(Buffer.from("w"));
  assert.equal(output.text(), `${"x".repeat(maxProbeOutputBytes - 1)}y...`);
  const whole = new ProbeOutput();
  whole.add(Buffer.from("fine\n"));
  assert.equal(whole.text(), "fine\n");
});
