import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CgroupWarmup } from "./cgroup-warmup.ts";
import { cgroupOfPid, detectCgroups } from "./cgroup.ts";

test("warming up does not move the process, and may be called often", async () => {
  const before = cgroupOfPid(process.pid, detectCgroups());
  const warmup = new CgroupWarmup(detectCgroups());
  for (let count = 0; count < 10; count += 1) warmup.warm();
  await sleep(60);
  assert.deepEqual(cgroupOfPid(process.pid, detectCgroups()), before);
});
