/**
 * The journald driver: lines go to systemd's journal with Docker's fields, by its native protocol
 * (systemd.io/JOURNAL_NATIVE_PROTOCOL), and come back by journalctl.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { rfc3339Nano } from "../../base/time.ts";
import { UnixDatagram } from "../../linux/unix-datagram.ts";
import type { LogPosition } from "./checkpoint.ts";
import type { LoggedContainer } from "./container-attributes.ts";
import type { LogEntry, LogMessage } from "./message.ts";
import type { LogWriter } from "./read-files.ts";
import type { LogTarget } from "./target.ts";

const journalSocket = "/run/systemd/journal/socket";
const lineFeed = 0x0a;
const priorityInfo = "6";
const priorityError = "3";
/** Our own field: the time at which the program wrote, which the journal's own times come after. */
const timeField = "SYSLOG_TIMESTAMP";
const partialField = "CONTAINER_PARTIAL_MESSAGE";

/** A field; a value with a line feed is preceded by its length. */
function field(name: string, value: Buffer | string): Buffer {
  const bytes = Buffer.from(value);
  if (!bytes.includes(lineFeed)) return Buffer.concat([Buffer.from(`${name}=`), bytes, Buffer.from("\n")]);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${name}\n`), size, bytes, Buffer.from("\n")]);
}

/** A name of a label or variable as the journal takes it: letters, digits and `_`, none of them in front. */
function journalName(name: string): string {
  return name
    .toUpperCase()
    .replaceAll(/[^A-Z0-9_]/g, "_")
    .replace(/^_+/, "");
}

/** The fields that are the same for all lines of a container (moby, daemon/logger/journald). */
export function containerFields(
  container: LoggedContainer,
  tag: string,
  attributes: Readonly<Record<string, string>>,
): Buffer {
  const fields: Record<string, string> = {
    CONTAINER_ID: container.id.slice(0, 12),
    CONTAINER_ID_FULL: container.id,
    CONTAINER_NAME: container.name,
    CONTAINER_TAG: tag,
    IMAGE_NAME: container.imageName,
    SYSLOG_IDENTIFIER: tag,
  };
  for (const [name, value] of Object.entries(attributes)) fields[journalName(name)] = value;
  return Buffer.concat(Object.entries(fields).map(([name, value]) => field(name, value)));
}

export class JournaldTarget implements LogTarget {
  readonly mostWaitingBytes: number | undefined;
  readonly #fields: Buffer;
  readonly #onWritten: () => void;
  #socket: UnixDatagram | undefined;
  #isClosed = false;

  constructor(fields: Buffer, mostWaitingBytes: number | undefined, onWritten: () => void) {
    this.#fields = fields;
    this.mostWaitingBytes = mostWaitingBytes;
    this.#onWritten = onWritten;
  }

  open(from: LogPosition | undefined): LogPosition {
    if (!existsSync(journalSocket)) throw new Error("journald is not enabled on this host");
    this.#socket ??= UnixDatagram.connect(journalSocket);
    return from ?? { rawAt: 0, sizeBytes: 0, generation: 0 };
  }

  async take(
    messages: readonly LogMessage[],
    end: number,
    note: (position: LogPosition) => void,
  ): Promise<LogPosition> {
    for (const message of messages) {
      await this.#send(this.#packet(message));
      if (message.cleanAt > 0) note({ rawAt: message.cleanAt, sizeBytes: 0, generation: 0 });
    }
    this.#onWritten();
    return { rawAt: end, sizeBytes: 0, generation: 0 };
  }

  #packet({ stream, time, data, start, end, isWhole }: LogMessage): Buffer {
    return Buffer.concat([
      this.#fields,
      field("MESSAGE", data.subarray(start, end)),
      field("PRIORITY", stream === "stderr" ? priorityError : priorityInfo),
      field(timeField, time),
      ...(isWhole ? [] : [field(partialField, "true")]),
    ]);
  }

  /** journald may have been started anew. */
  async #send(packet: Buffer): Promise<void> {
    try {
      await this.#socket!.send(packet);
    } catch (error) {
      if (this.#isClosed) throw error;
      this.#socket?.[Symbol.dispose]();
      this.#socket = undefined;
      this.#socket = UnixDatagram.connect(journalSocket);
      await this.#socket.send(packet);
    }
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#socket?.[Symbol.dispose]();
    this.#socket = undefined;
    return Promise.resolve();
  }
}

export interface JournalRead {
  readonly containerId: string;
  readonly tail: number | undefined;
  readonly writer: LogWriter | undefined;
  readonly signal: AbortSignal;
}

/** A container's entries, oldest first. */
export async function* readJournal(read: JournalRead): AsyncGenerator<LogEntry[]> {
  const { tail, writer, signal } = read;
  const place: Place = { cursor: "" };
  const lines = `--lines=${tail ?? "all"}`;
  if (writer === undefined) {
    yield* journalLines(read, [lines], place);
    return;
  }
  const over = new AbortController();
  void untilEnded(writer, signal).then(() => over.abort());
  yield* journalLines(
    { ...read, signal: AbortSignal.any([signal, over.signal]) },
    [lines, "--follow"],
    place,
  );
  if (signal.aborted) return;
  // What was sent last may not have been shown yet: the journal is asked for it once it has written all.
  await runToEnd(["--sync"]);
  const rest = place.cursor === "" ? [lines] : [`--after-cursor=${place.cursor}`];
  yield* journalLines(read, rest, place);
}

/** The entry that was read last. */
interface Place {
  cursor: string;
}

async function untilEnded(writer: LogWriter, signal: AbortSignal): Promise<void> {
  while (!writer.hasEnded && !signal.aborted) await writer.changed(signal);
}

function startJournalctl(words: readonly string[]): ChildProcessByStdio<null, Readable, null> {
  const child = spawn("journalctl", ["--quiet", "--no-pager", ...words], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  // A journalctl that is not there reads as an empty journal.
  child.on("error", () => {});
  return child;
}

async function runToEnd(words: readonly string[]): Promise<void> {
  const child = startJournalctl(words);
  child.stdout.resume();
  await new Promise<void>((resolve) => {
    child.once("close", () => resolve());
  });
}

async function* journalLines(
  { containerId, signal }: JournalRead,
  words: readonly string[],
  place: Place,
): AsyncGenerator<LogEntry[]> {
  const child = startJournalctl(["--all", "--output=json", ...words, `CONTAINER_ID_FULL=${containerId}`]);
  const closed = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
  });
  const stop = (): void => void child.kill();
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const found = journalEntry(line);
      if (found === undefined) continue;
      place.cursor = found.cursor;
      yield [found.entry];
    }
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
    await closed;
  }
}

type JournalValue = string | readonly number[] | readonly (string | readonly number[])[] | null | undefined;

function bytesOf(value: JournalValue): Buffer {
  if (value === null || value === undefined) return Buffer.alloc(0);
  if (typeof value === "string") return Buffer.from(value);
  // What is no text comes as a list of bytes.
  return Buffer.from(value as readonly number[]);
}

/** Fields that are no labels or variables of the container's. */
const knownFields = new Set(
  `CONTAINER_ID CONTAINER_ID_FULL CONTAINER_NAME CONTAINER_TAG IMAGE_NAME SYSLOG_IDENTIFIER MESSAGE PRIORITY ${timeField} ${partialField}`.split(
    " ",
  ),
);

/** One line of `journalctl -o json`. */
function journalEntry(line: string): { entry: LogEntry; cursor: string } | undefined {
  let fields: Readonly<Record<string, JournalValue>>;
  try {
    fields = JSON.parse(line) as Readonly<Record<string, JournalValue>>;
  } catch {
    return undefined;
  }
  const isWhole = fields[partialField] === undefined;
  const text = bytesOf(fields["MESSAGE"]);
  const written = fields[timeField];
  const attributes = Object.entries(fields).filter(
    ([name, value]) => !name.startsWith("_") && !knownFields.has(name) && typeof value === "string",
  );
  const entry: LogEntry = {
    stream: fields["PRIORITY"] === priorityError ? "stderr" : "stdout",
    time:
      typeof written === "string"
        ? written
        : rfc3339Nano(BigInt(String(fields["__REALTIME_TIMESTAMP"])) * 1000n),
    line: isWhole ? Buffer.concat([text, Buffer.from("\n")]) : text,
    attributes:
      attributes.length === 0 ? undefined : (Object.fromEntries(attributes) as Record<string, string>),
  };
  return { entry, cursor: String(fields["__CURSOR"] ?? "") };
}
