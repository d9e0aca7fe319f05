import assert from "node:assert/strict";
import { test } from "node:test";
import type { AttachedStdio } from "../container/monitor.ts";
import { connectNow } from "./container-attach.ts";
import type { EngineContext } from "./context.ts";
import { LiveContainers } from "./live.ts";

const id = "a".repeat(64);

function engine(attach: () => AttachedStdio): { context: EngineContext; live: LiveContainers } {
  const live = new LiveContainers();
  const context = {
    config: { dataRoot: "/nowhere", execRoot: "/nowhere" },
    live,
    monitor: { attach },
  } as unknown as EngineContext;
  return { context, live };
}

test("a container that ends while somebody attaches has no more to tell, and that is no failure", async () => {
  const { context, live } = engine(() => {
    throw new Error("ECONNREFUSED: connection refused, connect to attach");
  });
  const exited = Promise.withResolvers<void>();
  live.of(id).exited = exited;
  const connected = connectNow(context, id);
  exited.resolve();
  live.of(id).exited = undefined;
  assert.equal(await connected, undefined);
  assert.equal(await connectNow(context, id), undefined, "its exit is on record");
});

test("of one that goes on the failure is told", async () => {
  const { context, live } = engine(() => {
    throw new Error("EMFILE: too many open files");
  });
  live.of(id).exited = Promise.withResolvers();
  await assert.rejects(connectNow(context, id), /too many open files/);
});

test("who can be connected is", async () => {
  const stdio = {} as AttachedStdio;
  const { context } = engine(() => stdio);
  assert.equal(await connectNow(context, id), stdio);
});
