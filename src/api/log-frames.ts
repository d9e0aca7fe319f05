/** Entries of a log as they go to the client: many of them in one piece. */
import { fixedRfc3339 } from "../base/time.ts";
import type { LogEntry } from "../engine/engine.ts";
import { frameHeader } from "./frames.ts";

export interface LogShape {
  readonly withTime: boolean;
  readonly withDetails: boolean;
  /** False for a terminal's output. */
  readonly framed: boolean;
}

/** The bytes for a block of entries, each in a frame of its own. */
export function logBlock(block: readonly LogEntry[], shape: LogShape): Buffer {
  const pieces: Buffer[] = [];
  for (const { stream, time, line, attributes } of block) {
    const details = shape.withDetails ? `${detailsText(attributes ?? {})} ` : "";
    const prefix = shape.withTime ? `${fixedRfc3339(time)} ${details}` : details;
    const prefixBytes = prefix === "" ? undefined : Buffer.from(prefix);
    if (shape.framed) pieces.push(frameHeader(stream, line.length + (prefixBytes?.length ?? 0)));
    if (prefixBytes !== undefined) pieces.push(prefixBytes);
    pieces.push(line);
  }
  return Buffer.concat(pieces);
}

/** `key=value,key=value`, in the order of keys, escaped as in a URL's query. */
function detailsText(attributes: Readonly<Record<string, string>>): string {
  return Object.entries(attributes)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${queryEscape(key)}=${queryEscape(value)}`)
    .join(",");
}

/** Go's url.QueryEscape. */
function queryEscape(text: string): string {
  return encodeURIComponent(text)
    .replaceAll(/[!'()*]/g, (found) => `%${found.codePointAt(0)!.toString(16).toUpperCase()}`)
    .replaceAll("%20", "+");
}
