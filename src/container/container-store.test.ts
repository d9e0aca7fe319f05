import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openDatabase } from "../base/database.ts";
import { isKind } from "../base/errors.ts";
import { setLogLevel } from "../base/log.ts";
import type { ContainerRecord } from "./container.ts";
import { createContainerStore } from "./container-store.ts";

const directory = mkdtempSync(join(tmpdir(), "gantry-container-store-"));
after(() => rmSync(directory, { recursive: true }));

function record(id: string, name: string): ContainerRecord {
  return {
    id,
    name,
    hostConfig: {},
    state: { status: "running", exitCode: 0 },
  } as unknown as ContainerRecord;
}

test("an exit is known although the disk is full, and stored as soon as there is room", () => {
  setLogLevel("fatal");
  const path = join(directory, "full.db");
  const database = openDatabase(path);
  const store = createContainerStore(database);
  store.insert(record("aa", "first"));
  store.insert(record("bb", "second"));
  database.exec("PRAGMA max_page_count = 4");
  const error = "x".repeat(100_000);
  assert.throws(
    () => store.update("aa", { logPath: error }),
    (e) => isKind(e, "resourceExhausted"),
  );
  assert.equal(store.updateState("aa", { status: "exited", exitCode: 5, error }).state.exitCode, 5);
  assert.equal(store.byId("aa")?.state.status, "exited");
  database.exec("PRAGMA max_page_count = 100000");
  store.updateState("bb", { status: "paused" });
  database.close();

  const again = openDatabase(path);
  const stored = createContainerStore(again);
  assert.equal(stored.byId("aa")?.state.status, "exited");
  assert.equal(stored.byId("bb")?.state.status, "paused");
  again.close();
});

test("names are found, changed and freed", () => {
  const database = openDatabase(join(directory, "names.db"));
  const store = createContainerStore(database);
  store.insert(record("ab12", "one"));
  store.insert(record("ab34", "two"));
  assert.equal(store.resolve("/one").id, "ab12");
  assert.equal(store.resolve("ab3").id, "ab34");
  assert.throws(
    () => store.resolve("ab"),
    (e) => isKind(e, "invalidArgument"),
  );
  assert.throws(
    () => store.resolve("none"),
    (e) => isKind(e, "notFound"),
  );
  assert.throws(
    () => store.update("ab12", { name: "two" }),
    (e) => isKind(e, "conflict"),
  );
  store.update("ab12", { name: "three" });
  store.requireFreeName("one");
  store.remove("ab34");
  store.requireFreeName("two");
  database.close();
});
