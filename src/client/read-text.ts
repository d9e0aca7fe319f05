import type { Readable } from "node:stream";

/** All of a stream as UTF-8 text. */
export async function readText(stream: Readable): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts).toString("utf8");
}
