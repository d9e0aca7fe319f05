import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Pidfd, processAgeMs, processStartTicks, waitForEnd } from "./pidfd.ts";

test("the end of a process that is not our child is seen", async () => {
  // The shell ends at once, so that its sleep belongs to init.
  const pid = Number(execFileSync("sh", ["-c", "sleep 0.2 >/dev/null 2>&1 & echo $!"], { encoding: "utf8" }));
  const start = processStartTicks(pid);
  assert.ok(start !== undefined && start > 0n);
  const before = performance.now();
  await waitForEnd(pid);
  assert.ok(performance.now() - before > 20);
  assert.equal(processStartTicks(pid), undefined);
});

test("a signal goes to the process held, and to no other", async () => {
  const child = spawn("sleep", ["60"]);
  using held = Pidfd.open(child.pid!);
  assert.ok(held);
  const ended = held.ended();
  const exit = once(child, "exit");
  assert.equal(held.signal(0), true);
  assert.equal(held.signal(9), true);
  await ended;
  assert.equal((await exit)[1], "SIGKILL");
  assert.equal(held.signal(9), false);
});

test("no process: nothing to hold, nothing to wait for", async () => {
  const child = spawn("true");
  await once(child, "exit");
  assert.equal(Pidfd.open(child.pid!), undefined);
  await waitForEnd(child.pid!);
});

test("how long a process has run goes by no clock that somebody sets", async (t) => {
  const child = spawn("sleep", ["60"]);
  t.after(() => child.kill("SIGKILL"));
  const begun = performance.now();
  t.mock.method(Date, "now", () => 0);
  while (processAgeMs(child.pid!) < 100) await sleep(10);
  // Ticks and the time since boot are told in hundredths.
  assert.ok(performance.now() - begun >= 50);
  assert.ok(processAgeMs(child.pid!) < performance.now() - begun + 60_000);
  assert.ok(processAgeMs(1) >= processAgeMs(child.pid!));
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.equal(processAgeMs(child.pid!), 0);
});
