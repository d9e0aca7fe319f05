import assert from "node:assert/strict";
import { test } from "node:test";
import { conflict, EngineError } from "../base/errors.ts";
import { Leftovers } from "../base/leftovers.ts";
import { dropAnonymousVolume } from "./anonymous-volumes.ts";
import type { EngineContext } from "./context.ts";

test("an anonymous volume that could not be removed is tried again, whatever stood in the way", async () => {
  for (const failure of [
    conflict("remove v: volume has active mounts"),
    new EngineError("internal", "EIO"),
  ]) {
    let isFailing = true;
    const told: string[] = [];
    const leftovers = new Leftovers();
    const context = {
      leftovers,
      containers: { list: () => [] },
      events: { emit: (_: string, action: string) => told.push(action) },
      volumes: {
        isAnonymous: () => true,
        remove: () => (isFailing ? Promise.reject(failure) : Promise.resolve()),
      },
    } as unknown as EngineContext;
    await dropAnonymousVolume(context, "v", "local");
    assert.deepEqual([leftovers.count, told], [1, []], failure.message);
    isFailing = false;
    await leftovers.finish("volume v");
    assert.deepEqual([leftovers.count, told], [0, ["destroy"]], failure.message);
    leftovers.close();
  }
});
