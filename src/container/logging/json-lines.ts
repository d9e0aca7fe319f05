/** Docker's json-file lines: `{"log":"text\n","stream":"stdout","attrs":{…},"time":"…"}` (moby, daemon/logger/jsonfilelog). */
import type { LogEntry, LogMessage, LogStream } from "./message.ts";

const lineFeed = 0x0a;
const quote = 0x22;
const backslash = 0x5c;

/** Bytes that cannot stand in a JSON text of Docker's as they are; `<`, `>` and `&` because Go escapes them. */
// oxlint-disable-next-line no-control-regex
const special = /[\u0000-\u001f"\\<>&\u0080-\u00ff]/;

/**
 * The line for a message as a string of bytes (latin1), line feed included. `attributes` is the JSON of the container's
 * attributes, or empty.
 */
export function encodeJsonLine(message: LogMessage, attributes: string): string {
  const { data, start, end, stream, time, isWhole } = message;
  let text = data.toString("latin1", start, end);
  if (special.test(text)) text = escapeText(data.subarray(start, end));
  const attrs = attributes === "" ? "" : `,"attrs":${attributes}`;
  return `{"log":"${text}${isWhole ? "\\n" : ""}","stream":"${stream}"${attrs},"time":"${time}"}\n`;
}

/** Go's JSON string of bytes: what is no UTF-8 becomes U+FFFD. As a string of bytes, without quotes. */
function escapeText(text: Buffer): string {
  const json = goJson(text.toString("utf8"));
  return Buffer.from(json.slice(1, -1), "utf8").toString("latin1");
}

/** JSON as Docker's logger writes it: more is escaped than must be, and but two escapes are short. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /\\\\|\\[bft]|[<>&\u2028\u2029]/g,
    (found) => longEscapes[found] ?? (found.length > 1 ? found : unicodeEscape(found)),
  );
}

function unicodeEscape(letter: string): string {
  return `\\u${letter.codePointAt(0)!.toString(16).padStart(4, "0")}`;
}

const longEscapes: Readonly<Record<string, string>> = {
  "\\b": "\\u0008",
  "\\f": "\\u000c",
  "\\t": "\\u0009",
};

interface JsonLine {
  readonly log?: unknown;
  readonly stream?: unknown;
  readonly time?: unknown;
  readonly attrs?: Readonly<Record<string, string>>;
}

const head = Buffer.from('{"log":"');
const streamKey = '","stream":"std';

/**
 * Appends the entries of a block that begins at a line's start, and returns the bytes that they took. The lines of the
 * entries lie in `block`, which must not be changed any more. Lines that are none (a crash cut them off) are passed over.
 */
export function decodeJsonLines(block: Buffer, entries: LogEntry[]): number {
  let start = 0;
  for (let at = block.indexOf(lineFeed); at >= 0; at = block.indexOf(lineFeed, start)) {
    const entry = decodePlain(block, start, at) ?? decodeAny(block, start, at);
    if (entry !== undefined) entries.push(entry);
    start = at + 1;
  }
  return start;
}

/** The common line: nothing escaped but the line feed at its end, no attributes. Its text is used where it lies. */
function decodePlain(block: Buffer, start: number, end: number): LogEntry | undefined {
  if (block[start + 2] !== head[2] || block[start + 7] !== quote) return undefined;
  const textStart = start + head.length;
  const textEnd = block.indexOf(quote, textStart);
  if (textEnd < 0 || textEnd > end || block[textEnd - 1] === backslash) return undefined;
  const escape = block.indexOf(backslash, textStart);
  const isPlain = escape < 0 || escape >= textEnd;
  if (!isPlain && (escape !== textEnd - 2 || block[textEnd - 1] !== 0x6e)) return undefined;
  const rest = block.toString("latin1", textEnd, end);
  // ","stream":"stdout","time":"…"}
  if (!rest.startsWith(streamKey) || !rest.startsWith('","time":"', 18) || !rest.endsWith('Z"}'))
    return undefined;
  const stream: LogStream = rest[15] === "e" ? "stderr" : "stdout";
  const time = rest.slice(28, -2);
  if (isPlain) return { stream, time, line: block.subarray(textStart, textEnd), attributes: undefined };
  block[textEnd - 2] = lineFeed;
  return { stream, time, line: block.subarray(textStart, textEnd - 1), attributes: undefined };
}

function decodeAny(block: Buffer, start: number, end: number): LogEntry | undefined {
  let line: JsonLine;
  try {
    line = JSON.parse(block.toString("utf8", start, end)) as JsonLine;
  } catch {
    return undefined;
  }
  if (typeof line.log !== "string" || typeof line.time !== "string") return undefined;
  return {
    stream: line.stream === "stderr" ? "stderr" : "stdout",
    time: line.time,
    line: Buffer.from(line.log),
    attributes: line.attrs,
  };
}
