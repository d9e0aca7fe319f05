import { deepEqual } from "node:assert/strict";
import { describe, it } from "node:test";
import type { OutputChunk } from "../../client/frames.ts";
import { readOutput } from "../../client/frames.ts";
import { timedLines } from "./timed-lines.ts";

const at = (second: number): string => `2026-01-02T03:04:0${second}.000000001Z`;

const frame = (text: string, stream: 1 | 2 = 1): Buffer => {
  const payload = Buffer.from(text);
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
};

interface Reading {
  readonly pieceBytes: number;
  readonly tty?: boolean;
  readonly seen?: string;
}

async function lines(
  bytes: Buffer,
  { pieceBytes, tty = false, seen = "" }: Reading,
): Promise<{ shown: string[]; ends: string[] }> {
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let from = 0; from < bytes.length; from += pieceBytes) yield bytes.subarray(from, from + pieceBytes);
  }
  const output: AsyncIterable<OutputChunk> = readOutput(pieces(), !tty);
  const [shown, ends]: [string[], string[]] = [[], []];
  for await (const { time, endTime, text, stream } of timedLines(output, { tty, seen })) {
    shown.push(`${stream} ${time}|${text}`);
    ends.push(endTime);
  }
  return { shown, ends };
}

describe("timedLines", () => {
  const log = Buffer.concat([
    frame(`${at(1)} one\n`),
    frame(`${at(2)} long `),
    frame(`${at(3)} to standard error: ü\n`, 2),
    frame(`${at(4)} and its end\n`),
    frame(`${at(5)} \n`),
    frame(`${at(6)} without an end`),
  ]);
  for (const pieceBytes of [1, 7, 39, 1000]) {
    it(`takes the times off lines that come in pieces of ${pieceBytes} bytes`, async () => {
      const { shown, ends } = await lines(log, { pieceBytes });
      deepEqual(shown, [
        `stdout ${at(1)}|one`,
        `stderr ${at(3)}|to standard error: ü`,
        `stdout ${at(2)}|long and its end`,
        `stdout ${at(5)}|`,
        `stdout ${at(6)}|without an end`,
      ]);
      // Who reads on behind the line of standard error has not seen the long line's end, until that is shown.
      deepEqual(ends, [at(1), at(3), at(4), at(5), at(6)]);
    });

    it(`leaves out what has been seen, in pieces of ${pieceBytes} bytes`, async () => {
      const reading = { pieceBytes };
      const seenAt = async (seen: string): Promise<string[]> =>
        (await lines(log, { ...reading, seen })).shown;
      deepEqual(await seenAt(at(4)), [`stdout ${at(5)}|`, `stdout ${at(6)}|without an end`]);
      deepEqual(await seenAt(at(6)), []);
      const next = Buffer.concat([frame(`${at(6)} no end`), frame(`${at(7)} of the next run\n`)]);
      deepEqual((await lines(next, { ...reading, seen: at(6) })).shown, [`stdout ${at(7)}|of the next run`]);
    });
  }

  it("takes them off a terminal's lines, whose long ones are cut", async () => {
    const long = "x".repeat(16_384);
    const text = `${at(1)} ${at(2)} is what it says\r\n${at(3)} ${long}${at(4)} rest\r\n${at(5)} end`;
    const { shown, ends } = await lines(Buffer.from(text), { pieceBytes: 1000, tty: true });
    deepEqual(shown, [
      `stdout ${at(1)}|${at(2)} is what it says`,
      `stdout ${at(3)}|${long}rest`,
      `stdout ${at(5)}|end`,
    ]);
    deepEqual(ends, [at(1), at(4), at(5)]);
  });

  it("shows of a terminal's line that was seen what the next run has added to it", async () => {
    const text = `${at(1)} one\r\n${at(2)} no end${at(3)} of the next run\r\n`;
    const { shown } = await lines(Buffer.from(text), { pieceBytes: 1000, tty: true, seen: at(2) });
    deepEqual(shown, [`stdout ${at(3)}|of the next run`]);
    const reading = { pieceBytes: 1000, tty: true, seen: at(3) };
    deepEqual((await lines(Buffer.from(text), reading)).shown, []);
  });
});
