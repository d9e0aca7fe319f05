/** What tests of networks have in common. */
import assert from "node:assert/strict";
import type { TestDaemon } from "./daemon.ts";

/** Does `work`, and removes the networks of these names whatever came of it. */
export async function removingNetworks(
  daemon: TestDaemon,
  names: readonly string[],
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } finally {
    // Containers first: a network in use is not removed.
    await daemon.removeContainers();
    for (const name of names) await daemon.docker(["network", "rm", name]);
  }
}

/** Asserts that a `docker` call fails with these words. */
export async function dockerFails(
  daemon: TestDaemon,
  args: readonly string[],
  expected: RegExp,
): Promise<void> {
  const result = await daemon.docker(args);
  assert.notEqual(result.code, 0, `docker ${args.join(" ")} should fail`);
  assert.match(result.stderr, expected);
}
