import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { nowNs } from "../base/time.ts";
import type { EventMessage } from "../wire/system.ts";
import { EventBus } from "./event-bus.ts";
import { EventJournal } from "./event-journal.ts";

const never = new AbortController().signal;

async function collect(events: AsyncIterable<EventMessage>): Promise<string[]> {
  const seen: string[] = [];
  for await (const event of events) seen.push(`${event.Type} ${event.Action}`);
  return seen;
}

test("past events are given from since to until, by filter", async () => {
  const bus = new EventBus();
  const sinceNs = nowNs() - 1_000_000n;
  bus.emit("container", "create", "c1", { name: "web", image: "nginx:latest", tier: "front" });
  bus.emit("container", "exec_create: ls -l", "c1", { name: "web", image: "nginx:latest" });
  bus.emit("network", "connect", "n1", { container: "c1", name: "bridge" });
  bus.emit("image", "tag", "sha256:1", { name: "nginx:latest" });
  const past = (filters: Record<string, string[]>): Promise<string[]> =>
    collect(
      bus.subscribe({ sinceNs, untilNs: nowNs(), filters: new Map(Object.entries(filters)), signal: never }),
    );
  const all = ["container create", "container exec_create: ls -l", "network connect", "image tag"];
  const table: [Record<string, string[]>, string[]][] = [
    [{}, all],
    [{ type: ["network"] }, ["network connect"]],
    [{ event: ["exec_create"] }, ["container exec_create: ls -l"]],
    [{ container: ["web"] }, ["container create", "container exec_create: ls -l"]],
    [{ container: ["c1"] }, ["container create", "container exec_create: ls -l", "network connect"]],
    [{ image: ["nginx"] }, ["container create", "container exec_create: ls -l", "image tag"]],
    [{ label: ["tier=front"] }, ["container create"]],
    [{ label: ["tier"], type: ["network"] }, []],
    // As with Docker what it does not know keeps nothing out.
    [{ nosuch: ["x"] }, all],
    [{ nosuch: ["x"], type: ["network"] }, ["network connect"]],
  ];
  for (const [filters, expected] of table)
    assert.deepEqual(await past(filters), expected, JSON.stringify(filters));
});

test("a live stream gives what happens until it is aborted, and leaves no listener", async () => {
  const bus = new EventBus();
  const abort = new AbortController();
  const seen = collect(
    bus.subscribe({ sinceNs: undefined, untilNs: undefined, filters: new Map(), signal: abort.signal }),
  );
  assert.equal(bus.listenerCount, 1);
  bus.emit("container", "start", "c1", {});
  await new Promise((resolve) => setImmediate(resolve));
  bus.emit("container", "die", "c1", {});
  abort.abort();
  assert.deepEqual(await seen, ["container start", "container die"]);
  assert.equal(bus.listenerCount, 0);
});

test("until in the future ends the stream then", async () => {
  const bus = new EventBus();
  const seen = collect(
    bus.subscribe({ sinceNs: undefined, untilNs: nowNs() + 50_000_000n, filters: new Map(), signal: never }),
  );
  bus.emit("container", "start", "c1", {});
  assert.deepEqual(await seen, ["container start"]);
});

test("a client that does not read its events is given up, and the others are not", async () => {
  const bus = new EventBus();
  const [slow, quick] = [new AbortController(), new AbortController()];
  const subscribe = (signal: AbortSignal): AsyncIterator<EventMessage> => {
    const events = bus.subscribe({ sinceNs: undefined, untilNs: undefined, filters: new Map(), signal });
    return events[Symbol.asyncIterator]();
  };
  const [sleeper, reader] = [subscribe(slow.signal), subscribe(quick.signal)];
  const first = sleeper.next();
  for (let n = 0; n < 20_000; n++) {
    const next = reader.next();
    bus.emit("volume", "create", `v${n}`, {});
    assert.equal((await next).value?.Actor.ID, `v${n}`);
  }
  assert.equal((await first).value?.Actor.ID, "v0");
  assert.equal(bus.listenerCount, 1);
  assert.equal((await sleeper.next()).done, true);
  quick.abort();
});

test("of many past events none is lost to a client that reads, whatever happens meanwhile", async () => {
  const directory = mkdtempSync(join(tmpdir(), "gantry-events-"));
  const journal = new EventJournal(join(directory, "events"));
  try {
    const bus = new EventBus(journal);
    const sinceNs = nowNs();
    const count = 20_000;
    for (let n = 0; n < count; n++) bus.emit("volume", "create", `v${n}`, {});
    const abort = new AbortController();
    const events = bus.subscribe({ sinceNs, untilNs: undefined, filters: new Map(), signal: abort.signal });
    bus.emit("volume", "create", `v${count}`, {});
    let seen = 0;
    for await (const event of events) {
      assert.equal(event.Actor.ID, `v${seen}`);
      seen += 1;
      if (seen > count) abort.abort();
    }
    assert.equal(seen, count + 1);
    assert.equal(bus.listenerCount, 0);
  } finally {
    journal.close();
    rmSync(directory, { recursive: true });
  }
});

test("a client that reads nothing is given up in the past events too", async () => {
  const bus = new EventBus();
  const sinceNs = nowNs();
  for (let n = 0; n < 3; n++) bus.emit("volume", "create", `p${n}`, {});
  const options = { sinceNs, untilNs: undefined, filters: new Map(), signal: never };
  const events = bus.subscribe(options)[Symbol.asyncIterator]();
  assert.equal((await events.next()).value?.Actor.ID, "p0");
  for (let n = 0; n < 20_000; n++) bus.emit("volume", "create", `v${n}`, {});
  assert.equal(bus.listenerCount, 0);
  assert.equal((await events.next()).done, true);
});
