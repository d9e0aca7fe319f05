import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { EventMessage } from "../wire/system.ts";
import { EventJournal } from "./event-journal.ts";

let directory = "";
before(() => {
  directory = mkdtempSync(join(tmpdir(), "gantry-events-"));
});
after(() => rmSync(directory, { recursive: true, force: true }));

const event = (n: number): EventMessage => ({
  Type: "container",
  Action: `a${n}`,
  Actor: { ID: "c", Attributes: {} },
  scope: "local",
  time: n,
  timeNano: n * 1_000_000_000,
});

const actions = (events: readonly EventMessage[]): string[] => events.map(({ Action }) => Action);

test("keeps events over a restart, and goes on behind a line that was cut off", () => {
  const path = join(directory, "one");
  const first = new EventJournal(path);
  first.append(event(1));
  first.append(event(2));
  first.close();
  appendFileSync(path, '{"Type":"cont');
  const second = new EventJournal(path);
  second.append(event(3));
  assert.deepEqual(actions(second.since(0n)), ["a1", "a2", "a3"]);
  assert.deepEqual(actions(second.since(2_000_000_000n)), ["a2", "a3"]);
  second.close();
});

test("never takes more than two files", () => {
  const path = join(directory, "two");
  const journal = new EventJournal(path, 1000);
  for (let n = 0; n < 100; n++) journal.append(event(n));
  const kept = actions(journal.since(0n));
  journal.close();
  assert.deepEqual(
    readdirSync(directory)
      .filter((name) => name.startsWith("two"))
      .sort(),
    ["two", "two.1"],
  );
  assert.equal(kept.at(-1), "a99");
  assert.ok(kept.length >= 8 && kept.length < 30);
});

test("what cannot be stored is no error", () => {
  new EventJournal(join(directory, "no", "such", "directory")).append(event(1));
});
