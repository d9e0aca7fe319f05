/** Past events on disk, so that `events --since` reaches behind the daemon's start: two files, of which the older goes. */
import { closeSync, constants, fstatSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import type { EventMessage } from "../wire/system.ts";

const mostFileBytes = 4 * 1024 * 1024;

export class EventJournal {
  readonly #path: string;
  readonly #mostBytes: number;
  #fd = -1;
  #sizeBytes = 0;
  #hasFailed = false;

  /** `path` is the newer file, `path`.1 the older. */
  constructor(path: string, mostBytes = mostFileBytes) {
    this.#path = path;
    this.#mostBytes = mostBytes;
  }

  /** Stores an event. A failure (a full disk) is logged once: events are not worth failing what they tell of. */
  append(event: EventMessage): void {
    const line = Buffer.from(`${JSON.stringify(event)}\n`);
    try {
      if (this.#fd < 0) this.#open();
      if (this.#sizeBytes + line.length > this.#mostBytes) this.#rotate();
      writeSync(this.#fd, line);
      this.#sizeBytes += line.length;
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed) log.warn("events are not stored", { file: this.#path, error: errorText(error) });
      this.#hasFailed = true;
    }
  }

  #open(): void {
    this.#fd = openSync(this.#path, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT, 0o600);
    this.#sizeBytes = fstatSync(this.#fd).size;
    // A line that a crash cut off must not swallow the next one.
    if (this.#sizeBytes > 0 && !readFileSync(this.#path).subarray(-1).equals(Buffer.from("\n")))
      writeSync(this.#fd, "\n");
  }

  #rotate(): void {
    closeSync(this.#fd);
    this.#fd = -1;
    renameSync(this.#path, `${this.#path}.1`);
    this.#open();
  }

  /** The events since a time in ns, oldest first. */
  since(sinceNs: bigint): EventMessage[] {
    const found: EventMessage[] = [];
    for (const path of [`${this.#path}.1`, this.#path])
      for (const line of linesOf(path)) {
        const event = parse(line);
        if (event !== undefined && BigInt(event.timeNano) >= sinceNs) found.push(event);
      }
    return found;
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n");
  } catch {
    return [];
  }
}

/** Undefined for what a crash cut off. */
function parse(line: string): EventMessage | undefined {
  if (line === "") return undefined;
  try {
    return JSON.parse(line) as EventMessage;
  } catch {
    return undefined;
  }
}
