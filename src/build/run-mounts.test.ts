import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { test } from "node:test";
import { KeyedLock } from "../base/keyed-lock.ts";
import { testBuilder } from "./builder.fixture.ts";
import { CacheStore } from "./cache-store.ts";
import type { RunMount } from "./dockerfile/ast.ts";
import { RootTree } from "./files/root-tree.ts";
import { type MountOrigin, prepareMounts } from "./run-mounts.ts";

const skip = process.getuid?.() === 0 ? false : "only root mounts";

test("a cache that is filled from a stage is there whole or not at all", { skip }, async () => {
  await using it = await testBuilder();
  const cache = new CacheStore(it.host.database);
  const cacheLocks = new KeyedLock();
  const files = join(it.directory, "files");
  mkdirSync(files);
  writeFileSync(join(files, "file"), "text");
  const stage: MountOrigin = {
    tree: new RootTree(files),
    chainId: undefined,
    isLayers: false,
    name: "stage",
  };
  const mount: RunMount = {
    type: "cache",
    id: "c",
    target: "/c",
    from: "stage",
    readonly: false,
    required: false,
  };
  const prepare = async (origin: () => Promise<MountOrigin>): Promise<string[]> => {
    await using undo = new AsyncDisposableStack();
    const request = {
      id: "t",
      signal: new AbortController().signal,
      onEvent: () => {},
      context: { kind: "empty" },
      exports: [],
    } as const;
    const place = {
      host: it.host,
      cache,
      cacheLocks,
      request,
      stepId: "s",
      workingDirectory: "/",
      undo,
      origin,
    };
    const { mounts } = await prepareMounts([mount], place);
    return readdirSync(mounts[0]!.source);
  };
  // A filling that fails leaves nothing that the next step would take for the cache.
  await assert.rejects(
    prepare(() => Promise.reject(new Error("no room"))),
    /no room/,
  );
  const gate = Promise.withResolvers<MountOrigin>();
  const first = prepare(() => gate.promise);
  for (let turn = 0; turn < 20; turn += 1) await setImmediate();
  let isThere = false;
  const second = prepare(() => assert.fail("it is filled twice")).finally(() => (isThere = true));
  for (let turn = 0; turn < 20; turn += 1) await setImmediate();
  assert.equal(isThere, false);
  gate.resolve(stage);
  assert.deepEqual(await Promise.all([first, second]), [["file"], ["file"]]);
});
