import assert from "node:assert/strict";
import { test } from "node:test";
import { Background } from "../base/background.ts";
import { KeyedLock } from "../base/keyed-lock.ts";
import type { ContainerRecord } from "../container/container.ts";
import { watchTask } from "./container-exit.ts";
import type { EngineContext } from "./context.ts";
import { LiveContainers } from "./live.ts";

const id = "a".repeat(64);

/** A container that has ended with 3, in an engine where everything but its record fails. */
function brokenEngine(policy: string): {
  readonly context: EngineContext;
  readonly live: LiveContainers;
  readonly told: string[];
  readonly record: () => ContainerRecord;
} {
  let record = {
    id,
    name: "it",
    config: {},
    hostConfig: { RestartPolicy: { Name: policy, MaximumRetryCount: 0 } },
    state: { monitorPid: 7, startedAt: "2026-01-01T00:00:00Z" },
  } as unknown as ContainerRecord;
  const live = new LiveContainers();
  const told: string[] = [];
  const context = {
    config: { dataRoot: "/nowhere", execRoot: "/nowhere" },
    live,
    locks: new KeyedLock(),
    background: new Background(),
    containers: {
      byId: () => record,
      updateState: (_: string, state: object) =>
        (record = { ...record, state: { ...record.state, ...state } }),
    },
    execs: { ofContainer: () => [] },
    events: {
      emit: (_: string, action: string) => {
        told.push(action);
        throw new Error("no space left on device");
      },
    },
    monitor: {
      watch: () => Promise.resolve({ exitCode: 3, oomKilled: false, error: "", finishedAtNs: 0n }),
    },
  } as unknown as EngineContext;
  return { context, live, told, record: () => record };
}

test("a fault while an exit is told keeps nobody waiting who waits for it", async () => {
  const { context, live, told, record } = brokenEngine("no");
  const waited = Promise.withResolvers<number>();
  live.of(id).onExit(({ StatusCode }) => waited.resolve(StatusCode));
  watchTask(context, { containerId: id, pid: 6, monitorPid: 7 });
  await live.of(id).exited?.promise;
  assert.equal(await waited.promise, 3);
  assert.equal(record().state.status, "exited");
  assert.deepEqual(told, ["die"]);
});

test("nor does it keep a restart policy from its restart", async () => {
  const { context, live, record } = brokenEngine("always");
  const restarted = Promise.withResolvers<string>();
  live.restart = (which) => {
    restarted.resolve(which);
    return Promise.resolve();
  };
  const waited = Promise.withResolvers<number>();
  live.of(id).onExit(({ StatusCode }) => waited.resolve(StatusCode));
  watchTask(context, { containerId: id, pid: 6, monitorPid: 7 });
  assert.equal(await waited.promise, 3);
  assert.equal(record().state.status, "restarting");
  assert.equal(await restarted.promise, id);
});
