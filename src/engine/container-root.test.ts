import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { EngineError } from "../base/errors.ts";
import { KeyedLock } from "../base/keyed-lock.ts";
import type { ContainerRecord } from "../container/container.ts";
import { openContainerRoot } from "./container-root.ts";
import type { EngineContext } from "./context.ts";

test("the servers of a container's volumes are asked at once, while others can stop and remove it", async () => {
  const container = {
    id: "c",
    mounts: ["one", "two"].map((Name) => ({ Type: "volume", Name })),
    state: { status: "running", pid: process.pid },
  } as unknown as ContainerRecord;
  const locks = new KeyedLock();
  const asked: string[] = [];
  const answer = Promise.withResolvers<void>();
  const context = {
    locks,
    containers: { resolve: () => container, byId: () => container },
    volumes: {
      requireAnswer: (name: string) => {
        asked.push(name);
        return answer.promise;
      },
    },
  } as unknown as EngineContext;
  const opened = openContainerRoot(context, "c");
  const refused = assert.rejects(opened, /no answer/);
  // Nothing but the answers is waited for.
  await setImmediate();
  assert.deepEqual([asked, locks.isHeld("c")], [["one", "two"], false]);
  answer.reject(new EngineError("unavailable", "no answer"));
  await refused;
  assert.equal(locks.isHeld("c"), false);
});
