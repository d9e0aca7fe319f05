import assert from "node:assert/strict";
import { test } from "node:test";
import type { BuildEvent, RemoteDirectory } from "./build.ts";
import { memoryDirectory, testBuilder } from "./builder.fixture.ts";

test("a context that fails ends the steps that run beside it", { timeout: 120_000 }, async () => {
  await using it = await testBuilder();
  const whole = memoryDirectory({
    Dockerfile: "FROM scratch\nCOPY --from=slow /f /\nCOPY g /\n",
    g: "1",
  });
  const begun = Promise.withResolvers<void>();
  const context: RemoteDirectory = {
    ...whole,
    async open(options) {
      if (options.include.length > 0) return whole.open(options);
      await begun.promise;
      throw new Error("the client is gone");
    },
  };
  // It has no end of its own.
  const slow: RemoteDirectory = {
    ...memoryDirectory({}, "slow"),
    async open({ signal }) {
      begun.resolve();
      if (!signal.aborted)
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      throw new Error("the call was canceled");
    },
  };
  const events: BuildEvent[] = [];
  await assert.rejects(
    it.build(
      {},
      {
        context,
        namedContexts: { slow },
        exports: [{ type: "none" }],
        onEvent: (event) => events.push(event),
      },
    ),
    /^Error: the client is gone$/,
  );
  const failed = events.flatMap((event) =>
    event.kind === "vertex" && event.error !== undefined && !event.error.endsWith("context canceled")
      ? [`${event.name}: ${event.error}`]
      : [],
  );
  assert.deepEqual(failed, ["[internal] load build context: the client is gone"]);
});
