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

async function lines(bytes: Buffer, pieceBytes: number, tty = false): Promise<string[]> {
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let from = 0; from < bytes.length; from += pieceBytes) yield bytes.subarray(from, from + pieceBytes);
  }
  const output: AsyncIterable<OutputChunk> = readOutput(pieces(), !tty);
  const found: string[] = [];
  for await (const { time, text, stream } of timedLines(output, tty)) found.push(`${stream} ${time}|${text}`);
  return found;
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
      deepEqual(await lines(log, pieceBytes), [
        `stdout ${at(1)}|one`,
        `stderr ${at(3)}|to standard error: ü`,
        `stdout ${at(2)}|long and its end`,
        `stdout ${at(5)}|`,
        `stdout ${at(6)}|without an end`,
      ]);
    });
  }

  it("takes them off a terminal's lines, whose long ones are cut", async () => {
    const long = "x".repeat(16_384);
    const text = `${at(1)} ${at(2)} is what it says\r\n${at(3)} ${long}${at(4)} rest\r\n${at(5)} end`;
    deepEqual(await lines(Buffer.from(text), 1000, true), [
      `stdout ${at(1)}|${at(2)} is what it says`,
      `stdout ${at(3)}|${long}rest`,
      `stdout ${at(5)}|end`,
    ]);
  });
});
