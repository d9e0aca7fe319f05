import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyedLock } from "../base/keyed-lock.ts";
import type { ContainerRecord } from "../container/container.ts";
import { watchTask } from "./container-exit.ts";
import type { EngineContext } from "./context.ts";
import { LiveContainers } from "./live.ts";

test("a fault while an exit is told keeps nobody waiting who waits for it", async () => {
  const id = "a".repeat(64);
  let record = {
    id,
    name: "it",
    config: {},
    hostConfig: {},
    state: { monitorPid: 7, startedAt: "2026-01-01T00:00:00Z" },
  } as unknown as ContainerRecord;
  const live = new LiveContainers();
  const told: string[] = [];
  const context = {
    config: { dataRoot: "/nowhere", execRoot: "/nowhere" },
    live,
    locks: new KeyedLock(),
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
  const waited = Promise.withResolvers<number>();
  live.of(id).onExit(({ StatusCode }) => waited.resolve(StatusCode));
  watchTask(context, { containerId: id, pid: 6, monitorPid: 7 });
  await live.of(id).exited?.promise;
  assert.equal(await waited.promise, 3);
  assert.equal(record.state.status, "exited");
  assert.deepEqual(told, ["die"]);
});
