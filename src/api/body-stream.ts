import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";

/**
 * A request's body for a use case that may fail in its middle. Destroying the request itself would close the connection,
 * and its client, still sending, would see that instead of the answer; destroying this lets the rest of the body pass.
 */
export class BodyStream extends Readable {
  readonly #request: IncomingMessage;
  readonly #onData = (chunk: Buffer): void => {
    if (!this.destroyed && !this.push(chunk)) this.#request.pause();
  };
  readonly #onEnd = (): void => {
    if (!this.destroyed) this.push(null);
  };
  readonly #onGone = (): void => {
    if (!this.readableEnded && !this.#request.complete) this.destroy(new Error("aborted"));
  };

  constructor(request: IncomingMessage) {
    super({ highWaterMark: 256 * 1024 });
    this.#request = request;
    // A client may break off before the use case reads: whoever reads then gets the error, and nobody else need care.
    this.on("error", () => {});
    request.on("end", this.#onEnd);
    request.on("error", this.#onGone);
    request.on("close", this.#onGone);
    request.on("data", this.#onData);
  }

  override _read(): void {
    this.#request.resume();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // The listeners stay: the rest flows past them, and a client that breaks off now is no unexpected error.
    if (!this.#request.destroyed) this.#request.resume();
    done(error);
  }
}
