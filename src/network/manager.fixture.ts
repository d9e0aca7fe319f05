/** For tests of managers: each on a pretend host, with a look at what it leaves when it ends. */
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { after } from "node:test";
import { type EngineError, type ErrorKind, isKind } from "../base/errors.ts";
import type { NetworkConfig } from "./network-config.ts";
import {
  becomePretendHost,
  leavePretendHost,
  type TestManager,
  testManager,
  traces,
} from "./network.fixture.ts";

export const host = becomePretendHost();
export const clean = traces(host.directory);
after(() => leavePretendHost(host));

export const newRoot = (): string => mkdtempSync(join(host.directory, "root-"));

/** Containers on the default network. */
export const open = (manager: TestManager): string[] =>
  Object.keys(manager.inspect("bridge").Containers ?? {});

/** Ends a manager and looks for what it left. */
export async function ended(manager: TestManager): Promise<void> {
  for (const { containerId } of manager.sandboxes()) manager.close(containerId);
  await manager.shutdown({ removeAll: true });
  const left = traces(host.directory);
  assert.deepEqual([left.links, left.tables, left.mounts], [clean.links, clean.tables, clean.mounts]);
}

/** A manager that has started, and ends with the test. */
export async function started(
  t: { after(work: () => unknown): void },
  config: Partial<NetworkConfig>,
  root = newRoot(),
  poolSize = 1,
): Promise<TestManager> {
  const manager = testManager(root, config, poolSize);
  t.after(() => ended(manager));
  await manager.restore(() => false);
  return manager;
}

export const rejects = (work: Promise<unknown>, kind: ErrorKind, words: RegExp): Promise<void> =>
  assert.rejects(work, (error: EngineError) => {
    assert.match(error.message, words);
    return isKind(error, kind);
  });
