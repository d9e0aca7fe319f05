import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerRecord } from "../container/container.ts";
import { nextDelayMs, wantsRestart, wantsStartWithDaemon } from "./restart-policy.ts";

function container(
  policy: string,
  more: { code?: number; stopped?: boolean; count?: number; most?: number },
): ContainerRecord {
  return {
    hostConfig: { RestartPolicy: { Name: policy, MaximumRetryCount: more.most ?? 0 } },
    restartCount: more.count ?? 0,
    state: { status: "exited", exitCode: more.code ?? 0, stoppedByUser: more.stopped ?? false },
  } as ContainerRecord;
}

test("restart policies decide as Docker's", () => {
  const table: [string, Parameters<typeof container>[1], restart: boolean, withDaemon: boolean][] = [
    ["no", { code: 1 }, false, false],
    ["always", {}, true, true],
    ["always", { stopped: true }, false, true],
    ["unless-stopped", {}, true, true],
    ["unless-stopped", { stopped: true }, false, false],
    ["on-failure", { code: 0 }, false, false],
    ["on-failure", { code: 1 }, true, true],
    ["on-failure", { code: 1, most: 3, count: 2 }, true, true],
    ["on-failure", { code: 1, most: 3, count: 3 }, false, false],
    ["on-failure", { code: 1, stopped: true }, false, false],
  ];
  for (const [policy, more, restart, withDaemon] of table) {
    const record = container(policy, more);
    assert.equal(wantsRestart(record), restart, `${policy} ${JSON.stringify(more)}`);
    assert.equal(
      wantsStartWithDaemon(record),
      withDaemon,
      `${policy} ${JSON.stringify(more)} with the daemon`,
    );
  }
});

test("the delay doubles to a minute and is set back by a steady run", () => {
  const delays: number[] = [];
  for (let delay = 0, i = 0; i < 12; i++) delays.push((delay = nextDelayMs(delay, 500)));
  assert.deepEqual(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
  assert.equal(nextDelayMs(60_000, 10_000), 100);
});
