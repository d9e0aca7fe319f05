/**
 * Carries what a container wrote from conmon's file to the log driver. conmon's file is written without the daemon, so
 * no line waits for it or is lost with it; what has been carried is noted, and its room in conmon's file given back.
 */
import { closeSync, constants, type FSWatcher, fstatSync, openSync, readSync, rmSync, watch } from "node:fs";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { errorText } from "../../base/errors.ts";
import { failpoint } from "../../base/failpoint.ts";
import { log } from "../../base/log.ts";
import { punchHole } from "../../linux/punch-hole.ts";
import type { Checkpoint, LogPosition } from "./checkpoint.ts";
import { parseRaw } from "./raw-records.ts";
import type { LogTarget } from "./target.ts";

const blockBytes = 1024 * 1024;
/** Room is given back by pieces of this size, whole pages. */
const punchBytes = 256 * 1024;
const pageBytes = 4096;
/** How long writes are collected before they are carried, without and with somebody who follows the log. */
const collectMs = 100;
const followedMs = 5;
const retryMs = 1000;
/** A driver that takes longer than this for one block does not keep up. */
const stuckMs = 200;
/** How long the end of the pump waits for a driver that does not take what it was given. */
const closePatienceMs = 2000;

export interface PumpParts {
  /** conmon's file. */
  readonly rawPath: string;
  readonly checkpoint: Checkpoint;
  readonly target: LogTarget;
  /** For messages. */
  readonly containerId: string;
}

export class LogPump {
  readonly #parts: PumpParts;
  #fd = -1;
  #position: LogPosition | undefined;
  #punchedTo = 0;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** The carrying that is under way; one at a time. */
  #running: Promise<void> = Promise.resolve();
  #isClosed = false;
  #hasComplained = false;
  /** What the driver is taking now: since when (ms, monotonic), and up to where; undefined when it takes nothing. */
  #taking: { readonly sinceMs: number; readonly to: number } | undefined;
  /** Up to here messages were dropped that the driver has not taken. */
  #droppedTo = 0;
  #hasSaidDropped = false;
  /** Number of readers that follow the log. */
  followers = 0;

  constructor(parts: PumpParts) {
    this.#parts = parts;
  }

  /** Makes the driver ready, at the position that an earlier daemon noted. Throws what stands in the way. */
  open(): void {
    const { checkpoint, target } = this.#parts;
    const noted = checkpoint.read();
    this.#position = target.open(noted);
    // On record before the first entry: an entry without a note would be written again.
    checkpoint.write(this.#position);
  }

  /** Carries what comes from now on; conmon's file must be there. */
  follow(): void {
    if (this.#isClosed || this.#watcher !== undefined) return;
    this.#watcher = watch(this.#parts.rawPath, () => this.#schedule());
    this.#watcher.on("error", (error) =>
      log.warn("a container's log is not watched any more", { error: errorText(error) }),
    );
    this.#schedule();
  }

  #schedule(afterMs = this.followers > 0 ? followedMs : collectMs): void {
    if (this.#isClosed || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#taking === undefined) void this.#carry(false);
      else {
        this.#makeRoom();
        this.#schedule();
      }
    }, afterMs).unref();
  }

  /** Resolves when everything that is in conmon's file now was carried, or cannot be. */
  drain(): Promise<void> {
    return this.#isClosed ? this.#running : this.#carry(false);
  }

  /** The container has ended: carries all there is and takes conmon's file away. */
  async finish(): Promise<void> {
    if (this.#isClosed) return this.#running;
    this.#stopWatching();
    await this.#carry(true);
    const isDone = this.#isAllCarried();
    await this.close();
    // What could not be carried (a full disk) is tried again by the next start, reader or daemon.
    if (!isDone) return;
    rmSync(this.#parts.rawPath, { force: true });
    this.#parts.checkpoint.remove();
  }

  #isAllCarried(): boolean {
    return this.#position !== undefined && (this.#fd < 0 || fstatSync(this.#fd).size <= this.#position.rawAt);
  }

  /** Stops carrying; what is not carried stays in conmon's file. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopWatching();
    // What a driver that is stuck has not taken comes again with the next start or daemon.
    await Promise.race([this.#running, sleep(closePatienceMs, undefined, { ref: false })]);
    await this.#parts.target.close();
    await this.#running;
    this.#parts.checkpoint.close();
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #stopWatching(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #carry(isLast: boolean): Promise<void> {
    const before = this.#running;
    this.#running = before.then(() => this.#carryNow(isLast));
    return this.#running;
  }

  async #carryNow(isLast: boolean): Promise<void> {
    try {
      if (!this.#openRaw()) return;
      const goal = fstatSync(this.#fd).size;
      while (!this.#isClosed && this.#position!.rawAt < goal) {
        if (!(await this.#carryBlock(goal, isLast))) break;
        await nextTurn();
      }
      this.#hasComplained = false;
    } catch (error) {
      this.#complain(error);
      this.#resume();
      if (!isLast) this.#schedule(retryMs);
    }
  }

  /** Brings the driver back to what is noted: the same messages will come again. */
  #resume(): void {
    try {
      this.#position = this.#parts.target.open(this.#position);
    } catch (error) {
      this.#complain(error);
    }
  }

  #complain(error: unknown): void {
    if (this.#hasComplained) return;
    this.#hasComplained = true;
    const { containerId: container } = this.#parts;
    log.error("could not write a container's log; it is tried again", { container, error: errorText(error) });
  }

  #openRaw(): boolean {
    if (this.#isClosed) return false;
    if (this.#fd >= 0) return true;
    try {
      this.#fd = openSync(this.#parts.rawPath, constants.O_RDWR);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw error;
    }
  }

  /** Carries one block; false when it holds nothing whole. */
  async #carryBlock(goal: number, isLast: boolean): Promise<boolean> {
    const { checkpoint, target } = this.#parts;
    this.#dropWaiting(goal);
    if (this.#position!.rawAt >= goal) return false;
    const { rawAt } = this.#position!;
    const block = Buffer.allocUnsafe(Math.min(blockBytes, goal - rawAt));
    const length = readSync(this.#fd, block, 0, block.length, rawAt);
    const isEnd = isLast && rawAt + length >= goal;
    const batch = parseRaw(block.subarray(0, length), rawAt, isEnd);
    // A block without a record's end is none of conmon's.
    const consumed = batch.consumedBytes === 0 && length === blockBytes ? length : batch.consumedBytes;
    if (consumed === 0) return false;
    const note = (position: LogPosition): void => {
      const { rawAt: at } = position;
      this.#position = at < this.#droppedTo ? { ...position, rawAt: this.#droppedTo } : position;
      checkpoint.write(this.#position);
    };
    this.#taking = { sinceMs: performance.now(), to: rawAt + consumed };
    try {
      const position = await target.take(batch.messages, rawAt + consumed, note);
      failpoint("log.before-note");
      if (this.#isClosed) return false;
      note(position);
    } finally {
      this.#taking = undefined;
    }
    this.#giveRoomBack();
    return true;
  }

  #giveRoomBack(): void {
    const carried = this.#position!.rawAt;
    const end = carried - (carried % pageBytes);
    if (end - this.#punchedTo < punchBytes) return;
    punchHole(this.#fd, this.#punchedTo, end - this.#punchedTo);
    this.#punchedTo = end;
  }

  /** Before the driver is given a block, in non-blocking mode: what waits beyond the limit goes. */
  #dropWaiting(goal: number): void {
    const { mostWaitingBytes } = this.#parts.target;
    // A block is what a driver that keeps up may find waiting.
    if (mostWaitingBytes === undefined) return;
    if (goal - this.#position!.rawAt > Math.max(mostWaitingBytes, blockBytes))
      this.#drop(this.#position!.rawAt, goal - mostWaitingBytes);
  }

  /** While a driver in non-blocking mode is stuck: what waits beyond the limit goes, so that the disk does not fill. */
  #makeRoom(): void {
    const { mostWaitingBytes } = this.#parts.target;
    const taking = this.#taking;
    if (mostWaitingBytes === undefined || taking === undefined || this.#isClosed) return;
    if (performance.now() - taking.sinceMs < stuckMs) return;
    const { size } = fstatSync(this.#fd);
    const first = Math.max(taking.to, this.#droppedTo);
    if (size - first > mostWaitingBytes) this.#drop(first, size - mostWaitingBytes);
  }

  /** Drops whole records, from `first` to the end of the one that `to` lies in. Noted before their room is given back. */
  #drop(first: number, to: number): void {
    const end = this.#recordEnd(to);
    if (end <= first) return;
    this.#droppedTo = end;
    this.#position = { ...this.#position!, rawAt: end };
    this.#parts.checkpoint.write(this.#position);
    this.#giveRoomBack();
    if (this.#hasSaidDropped) return;
    this.#hasSaidDropped = true;
    log.warn("a log driver cannot keep up: messages are dropped", { container: this.#parts.containerId });
  }

  /** The position after the record that `position` lies in; conmon's records have few kilobytes. */
  #recordEnd(position: number): number {
    const block = Buffer.allocUnsafe(16 * pageBytes);
    const length = readSync(this.#fd, block, 0, block.length, Math.max(0, position - 1));
    const lineEnd = block.subarray(0, length).indexOf(0x0a);
    return lineEnd < 0 ? position : Math.max(0, position - 1) + lineEnd + 1;
  }
}
