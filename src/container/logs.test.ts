import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { parseRfc3339Ns } from "../base/time.ts";
import { type LogRead, type LogRecord, parseRecord, readLog } from "./logs.ts";

const directory = mkdtempSync(join(tmpdir(), "gantry-logs-"));
after(() => rmSync(directory, { recursive: true }));

const never = new AbortController().signal;
const over = Promise.resolve();
let count = 0;

/** Second `n` of a minute, as conmon writes it. */
const at = (n: number): string => `2026-01-01T00:00:${String(n).padStart(2, "0")}.000000001+00:00`;
const ns = (n: number): bigint => parseRfc3339Ns(at(n))!;

function logFile(...records: string[]): string {
  const path = join(directory, `log-${count++}`);
  writeFileSync(path, records.map((record) => `${record}\n`).join(""));
  return path;
}

function read(path: string, change: Partial<LogRead> = {}): AsyncGenerator<LogRecord> {
  return readLog({
    path,
    stdout: true,
    stderr: true,
    follow: false,
    tail: undefined,
    sinceNs: 0n,
    untilNs: 0n,
    signal: never,
    stopped: over,
    ...change,
  });
}

async function texts(records: AsyncIterable<LogRecord>): Promise<string[]> {
  const seen: string[] = [];
  for await (const { line } of records) seen.push(line.toString());
  return seen;
}

test("a record is read, and what is none is not", () => {
  const record = parseRecord(Buffer.from(`${at(3)} stderr F some  text`));
  assert.deepEqual(record, { stream: "stderr", timeNs: ns(3), line: Buffer.from("some  text\n") });
  assert.deepEqual(parseRecord(Buffer.from(`${at(3)} stdout F `))?.line.toString(), "\n");
  assert.deepEqual(parseRecord(Buffer.from(`${at(3)} stdout P part`))?.line.toString(), "part");
  for (const text of ["", "x", "x y z", `${at(1)} stdin F x`, `${at(1)} stdout Q x`, `${at(1)} stdout`])
    assert.equal(parseRecord(Buffer.from(text)), undefined, text);
});

test("streams, since, until and tail choose lines", async () => {
  const path = logFile(
    `${at(1)} stdout F one`,
    `${at(2)} stderr F two`,
    `${at(3)} stdout F three`,
    `${at(4)} stdout P fo`,
    `${at(4)} stdout F ur`,
    `${at(5)} stderr F five`,
  );
  const table: [Partial<LogRead>, string[]][] = [
    [{}, ["one\n", "two\n", "three\n", "four\n", "five\n"]],
    [{ stderr: false }, ["one\n", "three\n", "four\n"]],
    [{ stdout: false }, ["two\n", "five\n"]],
    [{ sinceNs: ns(4) }, ["four\n", "five\n"]],
    [{ untilNs: ns(2) }, ["one\n", "two\n"]],
    [{ tail: 0 }, []],
    [{ tail: 1 }, ["five\n"]],
    [{ tail: 2 }, ["four\n", "five\n"]],
    [{ tail: 3 }, ["three\n", "four\n", "five\n"]],
    [{ tail: 2, stderr: false }, ["three\n", "four\n"]],
    [{ tail: 99 }, ["one\n", "two\n", "three\n", "four\n", "five\n"]],
  ];
  for (const [change, lines] of table)
    assert.deepEqual(
      await texts(read(path, change)),
      lines,
      JSON.stringify(change, (_, v) => (typeof v === "bigint" ? String(v) : v)),
    );
});

test("parts are joined to 16 KiB, and the last line needs no line feed", async () => {
  const part = "x".repeat(8192);
  const path = logFile(
    `${at(1)} stdout P ${part}`,
    `${at(2)} stderr F between`,
    `${at(2)} stdout P ${part}`,
    `${at(3)} stdout F end`,
    `${at(4)} stdout P prompt> `,
  );
  const seen: [string, bigint][] = [];
  for await (const { line, timeNs } of read(path)) seen.push([line.toString(), timeNs]);
  assert.deepEqual(seen, [
    ["between\n", ns(2)],
    [part + part, ns(1)],
    ["end\n", ns(3)],
    ["prompt> ", ns(4)],
  ]);
});

test("the tail of a long log is found over many blocks", async () => {
  const path = join(directory, "long");
  let text = "";
  for (let n = 0; n < 20_000; n += 1) text += `${at(n % 60)} stdout F line ${n} ${"y".repeat(n % 97)}\n`;
  writeFileSync(path, text);
  for (const tail of [1, 2, 999, 5000, 19_999, 20_000, 30_000]) {
    const lines = await texts(read(path, { tail }));
    assert.equal(lines.length, Math.min(tail, 20_000));
    assert.match(lines[0]!, new RegExp(`^line ${Math.max(0, 20_000 - tail)} `));
    assert.match(lines.at(-1)!, /^line 19999 /);
  }
});

test("following sees every line once, from before the file is there to the stop, and leaves no watcher", async () => {
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  // The first watch of a process opens an inotify descriptor that stays.
  await texts(read(logFile(), { follow: true }));
  const before = descriptors();
  const path = join(directory, "followed");
  const stopped = Promise.withResolvers<void>();
  const seen = texts(read(path, { follow: true, stopped: stopped.promise }));
  await sleep(20);
  for (let n = 0; n < 300; n += 1) {
    // In pieces, as a writer may be interrupted.
    appendFileSync(path, `${at(n % 60)} stdout F li`);
    if (n % 50 === 0) await sleep(5);
    appendFileSync(path, `ne ${n}\n`);
  }
  stopped.resolve();
  appendFileSync(path, `${at(1)} stdout F last\n`);
  const lines = await seen;
  assert.deepEqual(
    lines.slice(0, 300),
    Array.from({ length: 300 }, (_, n) => `line ${n}\n`),
  );
  assert.ok(lines.length <= 301);
  await sleep(20);
  assert.equal(descriptors(), before);
});

test("a client that goes ends the following", async () => {
  const abort = new AbortController();
  const path = logFile(`${at(1)} stdout F one`);
  const records = read(path, { follow: true, signal: abort.signal, stopped: new Promise(() => {}) });
  assert.equal((await records.next()).value?.line.toString(), "one\n");
  const next = records.next();
  abort.abort();
  assert.equal((await next).done, true);
});

test("a log that is not there is empty", async () => {
  assert.deepEqual(await texts(read(join(directory, "absent"))), []);
});
