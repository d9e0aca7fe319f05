/** From conmon's file to the driver's and back: nothing lost or doubled, whatever cuts the work off. */
import assert from "node:assert/strict";
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import * as fc from "fast-check";
import { Checkpoint } from "./checkpoint.ts";
import { jsonFileTarget, localTarget } from "./file-target.ts";
import { LogPump } from "./log-pump.ts";
import { LogSignal } from "./log-signal.ts";
import type { LogEntry } from "./message.ts";
import { jsonFormat, localFormat, readLogFiles } from "./read-files.ts";
import { RotatingFiles, type RotationLimits } from "./rotating-files.ts";
import type { LogTarget } from "./target.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "gantry-log-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const raw = (): string => join(directory, "raw");
const log = (): string => join(directory, "log");
const noRotation: RotationLimits = { maxSizeBytes: 0, maxFiles: 1, compress: false };
const live = new AbortController().signal;

function writeRaw(from: number, to: number): void {
  let text = "";
  for (let n = from; n < to; n++) {
    const stream = n % 3 === 0 ? "stderr" : "stdout";
    text += `2026-01-02T03:04:05.${String(n).padStart(9, "0")}+00:00 ${stream} F line ${n}\n`;
  }
  appendFileSync(raw(), text);
}

interface Built {
  readonly pump: LogPump;
  readonly files: RotatingFiles;
  readonly writer: LogSignal;
}

function build(
  limits = noRotation,
  { wrap = (target: LogTarget): LogTarget => target, isLocal = false } = {},
): Built {
  const files = new RotatingFiles(log(), limits);
  const writer = new LogSignal(() => files.generation);
  const target = isLocal ? localTarget(files, writer.written) : jsonFileTarget(files, "", writer.written);
  const checkpoint = new Checkpoint(join(directory, "taken"));
  const pump = new LogPump({ rawPath: raw(), checkpoint, target: wrap(target), containerId: "c" });
  return { pump, files, writer };
}

async function readAll(maxFiles = 1, tail?: number, format = jsonFormat): Promise<string[]> {
  const lines: string[] = [];
  const read = { tail, writer: undefined, signal: live };
  for await (const block of readLogFiles({ path: log(), format, maxFiles }, read))
    lines.push(...block.map(({ line }) => line.toString()));
  return lines;
}

const numbered = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, n) => `line ${from + n}\n`);

test("what conmon wrote is in the driver's file, and conmon's is gone at the end", async () => {
  writeRaw(0, 1000);
  const { pump } = build();
  pump.open();
  await pump.drain();
  writeRaw(1000, 1500);
  await pump.finish();
  assert.deepEqual(await readAll(), numbered(0, 1500));
  assert.equal(statSync(log()).mode & 0o777, 0o640);
  assert.deepEqual(readdirSync(directory), ["log"]);
});

test("room of what was carried is given back", async () => {
  const { pump } = build();
  writeRaw(0, 20_000);
  pump.open();
  await pump.drain();
  const { size, blocks } = statSync(raw());
  assert.ok(blocks * 512 < size / 2, `${blocks * 512} of ${size} bytes are still held`);
  writeRaw(20_000, 20_010);
  await pump.finish();
  assert.deepEqual((await readAll()).slice(-11), numbered(19_999, 20_010));
});

for (const isLocal of [false, true])
  test(`cut off anywhere, then done again: ${isLocal ? "local" : "json-file"}`, async () => {
    const format = isLocal ? localFormat : jsonFormat;
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({ lines: fc.nat(120), dies: fc.constantFrom("no", "before note", "half written") }),
        ),
        fc.constantFrom(0, 700, 3000),
        async (runs, maxSizeBytes) => {
          for (const name of readdirSync(directory)) rmSync(join(directory, name));
          const limits = { maxSizeBytes, maxFiles: 10_000, compress: false };
          let count = 0;
          for (const { lines, dies } of runs) {
            writeRaw(count, count + lines);
            count += lines;
            const die = (target: LogTarget): LogTarget => ({
              mostWaitingBytes: undefined,
              open: (from) => target.open(from),
              async take(messages, end, note) {
                const half = dies === "half written" ? messages.slice(0, messages.length / 2) : messages;
                const position = await target.take(half, end, note);
                if (dies !== "no") throw new Error("died");
                return position;
              },
              close: () => target.close(),
            });
            const { pump } = build(limits, { wrap: die, isLocal });
            pump.open();
            await pump.drain();
            await pump.close();
          }
          const { pump } = build(limits, { isLocal });
          if (existsSync(raw())) {
            pump.open();
            await pump.finish();
          }
          assert.deepEqual(await readAll(10_000, undefined, format), numbered(0, count));
        },
      ),
      { numRuns: 40 },
    );
  });

test("rotation: as many files as asked for, the oldest goes, compressed ones are read", async () => {
  const { pump } = build({ maxSizeBytes: 5000, maxFiles: 4, compress: true });
  pump.open();
  writeRaw(0, 400);
  await pump.drain();
  await pump.finish();
  assert.deepEqual(readdirSync(directory).sort(), ["log", "log.1.gz", "log.2.gz", "log.3.gz"]);
  const lines = await readAll(4);
  assert.ok(lines.length < 400);
  assert.deepEqual(lines, numbered(400 - lines.length, 400));
  assert.ok(gunzipSync(readFileSync(`${log()}.1.gz`)).length >= 5000);
  for (const tail of [0, 1, 50, 100, 150, lines.length, lines.length + 1])
    assert.deepEqual(await readAll(4, tail), lines.slice(Math.max(0, lines.length - tail)), `tail ${tail}`);
});

test("a rotation that was cut off is done again without losing a file", async () => {
  const limits = { maxSizeBytes: 10, maxFiles: 3, compress: false };
  const files = new RotatingFiles(log(), limits);
  for (const text of ["one", "two", "three"]) {
    files.open();
    files.append(Buffer.from(text));
    await files.rotate();
  }
  files.append(Buffer.from("four"));
  files.close();
  // As after a kill between the two moves.
  rmSync(`${log()}.2`);
  renameSync(`${log()}.1`, `${log()}.2`);
  const again = new RotatingFiles(log(), limits);
  again.open();
  await again.rotate();
  again.close();
  assert.deepEqual(
    ["", ".1", ".2"].map((suffix) => readFileSync(`${log()}${suffix}`, "utf8")),
    ["", "four", "three"],
  );
});

test("a reader that follows sees every line over rotations, and the end", async () => {
  const limits = { maxSizeBytes: 3000, maxFiles: 500, compress: true };
  const { pump, writer } = build(limits);
  pump.open();
  writeRaw(0, 50);
  await pump.drain();
  const seen: string[] = [];
  const following = (async () => {
    const read = { tail: 10, writer, signal: live };
    for await (const block of readLogFiles({ path: log(), format: jsonFormat, maxFiles: 500 }, read))
      seen.push(...block.map(({ line }: LogEntry) => line.toString()));
  })();
  for (let n = 50; n < 1050; n += 100) {
    writeRaw(n, n + 100);
    await pump.drain();
  }
  await pump.finish();
  writer.ended();
  await following;
  assert.deepEqual(seen, numbered(40, 1050));
});

test("a driver that is stuck in non-blocking mode: what waits is dropped beyond the limit, whole records, no room held", async () => {
  const limit = 64 * 1024;
  let release = (): void => {};
  const stuck = new Promise<void>((resolve) => (release = resolve));
  let isTaking = false;
  const { pump } = build(noRotation, {
    wrap: (target) => ({
      mostWaitingBytes: limit,
      open: (from) => target.open(from),
      take: async (messages, end, note) => {
        isTaking = true;
        await stuck;
        return target.take(messages, end, note);
      },
      close: () => target.close(),
    }),
  });
  writeRaw(0, 10);
  pump.open();
  pump.follow();
  const until = async (check: () => boolean): Promise<void> => {
    while (!check()) await sleep(10);
  };
  await until(() => isTaking);
  writeRaw(10, 60_000);
  const held = (): number => statSync(raw()).blocks * 512;
  await until(() => held() < limit + 64 * 1024);
  writeRaw(60_000, 120_000);
  await until(() => held() < limit + 64 * 1024);
  release();
  await pump.finish();
  const lines = await readAll();
  assert.deepEqual(lines.slice(0, 10), numbered(0, 10), "what the driver had begun to take");
  const rest = lines.slice(10);
  assert.deepEqual(rest, numbered(120_000 - rest.length, 120_000));
  const text = rest.reduce((sum, line) => sum + line.length, 0);
  assert.ok(text > limit / 8 && text <= limit, `${text} bytes came after the gap`);
});

test("a driver that takes nothing does not keep the pump from being closed", async () => {
  let end = (): void => {};
  const { pump } = build(noRotation, {
    wrap: (target) => ({
      mostWaitingBytes: undefined,
      open: (from) => target.open(from),
      take: () => new Promise((_, reject) => (end = () => reject(new Error("closed")))),
      close: () => {
        end();
        return target.close();
      },
    }),
  });
  writeRaw(0, 10);
  pump.open();
  void pump.drain();
  await pump.close();
  const again = build();
  again.pump.open();
  await again.pump.finish();
  assert.deepEqual(await readAll(), numbered(0, 10));
});

test("a driver that fails gets the same again", async () => {
  let failures = 3;
  const { pump } = build(noRotation, {
    wrap: (target) => ({
      mostWaitingBytes: undefined,
      open: (from) => target.open(from),
      take: (messages, end, note) => {
        if (failures-- > 0) return Promise.reject(new Error("no space left on device"));
        return target.take(messages, end, note);
      },
      close: () => target.close(),
    }),
  });
  pump.open();
  writeRaw(0, 10);
  for (let n = 0; n < 4; n++) await pump.drain();
  await pump.finish();
  assert.deepEqual(await readAll(), numbered(0, 10));
});
