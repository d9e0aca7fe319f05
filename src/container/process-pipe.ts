import { closeSync, writeSync } from "node:fs";
import { lastingNumber } from "../linux/lasting-number.ts";
import { openPipe } from "../linux/spawn.ts";

/** What a pipe takes without a reader (pipe(7): 16 pages; larger writes would wait, and the daemon with them). */
const capacityBytes = 65_536;

/**
 * An OCI `process` object that a runtime can be told the path of before there is one: the path is that of a pipe, and
 * the runtime reads on until the object is there. When this daemon ends before that, the runtime finds the end of the
 * file instead of an object and runs nothing.
 */
export class ProcessPipe implements Disposable {
  readonly path: string;
  #readFd: number | undefined;
  #writeFd: number | undefined;

  constructor() {
    const [pipeFd, writeFd] = openPipe();
    // A runtime that opens the path after it was given up must not come upon another pipe of the daemon's.
    const readFd = lastingNumber(pipeFd);
    this.#readFd = readFd;
    this.#writeFd = writeFd;
    // The read end stays open here, so that what is sent before the runtime opens the path is not lost.
    this.path = `/proc/${process.pid}/fd/${readFd}`;
  }

  /** Whether {@link send} can take `text`. */
  static fits(text: string): boolean {
    return Buffer.byteLength(text) <= capacityBytes;
  }

  /** Hands over the object, once. */
  send(text: string): void {
    if (this.#writeFd === undefined) throw new Error("a process was sent twice");
    writeSync(this.#writeFd, text);
    closeSync(this.#writeFd);
    this.#writeFd = undefined;
  }

  /** To be called when the runtime has read, or is not to run. */
  [Symbol.dispose](): void {
    for (const fd of [this.#writeFd, this.#readFd]) if (fd !== undefined) closeSync(fd);
    this.#writeFd = undefined;
    this.#readFd = undefined;
  }
}
