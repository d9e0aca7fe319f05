import type { ServerResponse } from "node:http";
import { errorText } from "../base/errors.ts";
import type { ProgressMessage } from "../wire/image.ts";
import type { Exchange } from "./exchange.ts";
import { errorAnswer } from "./http-error.ts";

/**
 * A chunked answer of unknown length. Writes wait while the client is slow; after it has gone they do nothing, and
 * `exchange.signal` tells the producer to stop.
 */
export class StreamAnswer {
  readonly #response: ServerResponse;
  readonly #contentType: string;

  constructor(exchange: Exchange, contentType: string) {
    this.#response = exchange.response;
    this.#contentType = contentType;
  }

  /** True once the status is on its way: an error can no longer change it. */
  get isStarted(): boolean {
    return this.#response.headersSent;
  }

  /** Sends status and headers now, before there is a first byte. */
  start(): void {
    if (this.isStarted) return;
    this.#response.writeHead(200, { "Content-Type": this.#contentType });
    this.#response.flushHeaders();
  }

  async write(chunk: string | Buffer): Promise<void> {
    if (!this.isStarted) this.#response.writeHead(200, { "Content-Type": this.#contentType });
    if (this.#response.destroyed || this.#response.write(chunk)) return;
    await drained(this.#response);
  }

  end(): void {
    this.start();
    this.#response.end();
  }
}

/** What may wait in memory for a client before a producer that can be held back is held back. */
const mostQueuedBytes = 1024 * 1024;

/** Messages in their order to an answer, for a producer that does not wait for each: JSON and CRLF. */
export class MessageSender {
  readonly #answer: StreamAnswer;
  #sending: Promise<void> = Promise.resolve();
  #queuedBytes = 0;

  constructor(answer: StreamAnswer) {
    this.#answer = answer;
  }

  send(message: object): void {
    const text = `${JSON.stringify(message)}\r\n`;
    this.#queuedBytes += text.length;
    this.#sending = this.#sendAfter(this.#sending, text);
  }

  async #sendAfter(others: Promise<void>, text: string): Promise<void> {
    await others;
    await this.#answer.write(text);
    this.#queuedBytes -= text.length;
  }

  /** Undefined while there is room for more; else resolves when what was sent so far is on its way, or the client gone. */
  room(): Promise<void> | undefined {
    return this.#queuedBytes < mostQueuedBytes ? undefined : this.#sending;
  }

  /** All that was sent is on its way. */
  sent(): Promise<void> {
    return this.#sending;
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off("drain", done).off("close", done);
      resolve();
    };
    response.on("drain", done).on("close", done);
    if (response.destroyed) done();
  });
}

/**
 * The elements of `source` until `signal` is aborted, also when the source itself does not look at the signal. One
 * listener serves all elements, so that following a stream for days costs nothing.
 */
export async function* untilAborted<T>(
  source: AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  const iterator = source[Symbol.asyncIterator]();
  let stop: (() => void) | undefined;
  const onAbort = (): void => stop?.();
  signal.addEventListener("abort", onAbort, { once: true });
  let isFinished = false;
  try {
    while (!signal.aborted) {
      const next = await new Promise<IteratorResult<T> | undefined>((resolve, reject) => {
        stop = () => resolve(undefined);
        iterator.next().then(resolve, reject);
      });
      if (next === undefined) return;
      isFinished = next.done === true;
      if (next.done === true) return;
      yield next.value;
    }
  } catch (error) {
    isFinished = true;
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
    // Not awaited: a generator that hangs in its own await would keep us here.
    if (!isFinished) iterator.return?.().then(undefined, () => {});
  }
}

/** The value of `promise`, or undefined as soon as `signal` is aborted. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>();
  const onAbort = (): void => resolve(undefined);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return signal.aborted ? undefined : await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/**
 * Answers with a progress stream: one JSON object and CRLF a message. A failure before the first message is thrown and
 * becomes an error status; a later one becomes an `errorDetail` object, since the status is already gone.
 */
export async function sendProgress(
  exchange: Exchange,
  messages: AsyncIterable<ProgressMessage>,
): Promise<void> {
  const answer = new StreamAnswer(exchange, "application/json");
  const send = (message: ProgressMessage): Promise<void> => answer.write(`${JSON.stringify(message)}\r\n`);
  try {
    for await (const message of untilAborted(messages, exchange.signal)) await send(message);
  } catch (error) {
    if (!answer.isStarted) throw error;
    const { message, isBug } = errorAnswer(error);
    await send({ errorDetail: { message }, error: message });
    answer.end();
    if (isBug) throw new Error(`progress stream failed: ${errorText(error)}`, { cause: error });
    return;
  }
  answer.end();
}
