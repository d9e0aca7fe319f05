import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { DiskReserve } from "./disk-reserve.ts";

test("room is set aside again though the machine's clock was put back", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "gantry-test-reserve-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, "place", "reserve");
  let passedMs = 1_000;
  let clockMs = Date.UTC(2036, 0, 1);
  t.mock.method(performance, "now", () => passedMs);
  t.mock.method(Date, "now", () => clockMs);
  // A place that is not there stands for a disk without room.
  const reserve = new DiskReserve(path);
  mkdirSync(join(directory, "place"));
  passedMs += 1_000;
  reserve.refill();
  assert.ok(!existsSync(path), "not before some seconds have passed");
  clockMs = Date.UTC(1970, 0, 1, 0, 5);
  passedMs += 60_000;
  reserve.refill();
  assert.ok(existsSync(path));
});
