/**
 * A call's two directions of messages over an HTTP/2 stream (gRPC over HTTP2): each message is a byte that says whether it
 * is compressed, its length in four bytes, and the message.
 */
import type { Http2Stream } from "node:http2";
import { GrpcError, grpcCodes } from "./status.ts";

/** Names in lower case; several values of a name in their order. */
export type Metadata = ReadonlyMap<string, readonly string[]>;

export interface Encoder<Out> {
  encode(message: Out): Uint8Array;
}

export interface Decoder<In> {
  decode(bytes: Uint8Array): In;
}

const prefixBytes = 5;
/** Larger ones are refused: nobody sends them, and they would have to be held in memory. */
const maxMessageBytes = 64 * 1024 * 1024;
/** What is sent in one tick goes out together, in writes of about this size. */
const writeBytes = 256 * 1024;
/** So many messages, or so many bytes of them, wait to be read before the other side is held back. */
const maxQueued = 256;
const maxQueuedBytes = 4 * 1024 * 1024;

/** Messages that come in, in order. Read by one reader. */
class MessageQueue {
  readonly #stream: Http2Stream;
  readonly #messages: Buffer[] = [];
  #queuedBytes = 0;
  #parts: Buffer[] = [];
  #partsBytes = 0;
  #ended = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(stream: Http2Stream) {
    this.#stream = stream;
    stream.on("data", (chunk: Buffer) => this.#take(chunk));
    stream.on("end", () => this.finish());
  }

  /** No more messages come; with an error, reading throws it after those that came. */
  finish(error?: Error): void {
    this.#ended = true;
    this.#error ??= error;
    this.#wake?.();
  }

  async next(): Promise<Buffer | undefined> {
    while (this.#messages.length === 0 && !this.#ended)
      await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = undefined;
    const message = this.#messages.shift();
    this.#queuedBytes -= message?.length ?? 0;
    const hasRoom = this.#messages.length < maxQueued / 2 && this.#queuedBytes < maxQueuedBytes;
    if (hasRoom && this.#stream.isPaused()) this.#stream.resume();
    if (message === undefined && this.#error !== undefined) throw this.#error;
    return message;
  }

  #take(chunk: Buffer): void {
    this.#parts.push(chunk);
    this.#partsBytes += chunk.length;
    if (this.#partsBytes < prefixBytes) return;
    // Waits for the rest of a long message without joining its parts again and again.
    const head = this.#parts[0]!.length >= prefixBytes ? this.#parts[0]! : this.#join();
    if (this.#partsBytes < prefixBytes + head.readUInt32BE(1)) {
      this.#checkSize(head.readUInt32BE(1));
      return;
    }
    const bytes = this.#join();
    let at = 0;
    while (bytes.length - at >= prefixBytes) {
      const length = bytes.readUInt32BE(at + 1);
      if (bytes[at] !== 0) this.#fail(grpcCodes.unimplemented, "compressed messages are not supported");
      this.#checkSize(length);
      if (bytes.length - at - prefixBytes < length) break;
      this.#messages.push(bytes.subarray(at + prefixBytes, at + prefixBytes + length));
      this.#queuedBytes += length;
      at += prefixBytes + length;
    }
    this.#parts = at < bytes.length ? [bytes.subarray(at)] : [];
    this.#partsBytes = bytes.length - at;
    if (this.#messages.length >= maxQueued || this.#queuedBytes >= maxQueuedBytes) this.#stream.pause();
    if (this.#messages.length > 0) this.#wake?.();
  }

  #join(): Buffer {
    if (this.#parts.length > 1) this.#parts = [Buffer.concat(this.#parts)];
    return this.#parts[0]!;
  }

  #checkSize(bytes: number): void {
    if (bytes > maxMessageBytes)
      this.#fail(grpcCodes.resourceExhausted, `message of ${bytes} bytes is larger than ${maxMessageBytes}`);
  }

  #fail(code: number, message: string): void {
    this.finish(new GrpcError(code, message));
    this.#stream.close(8);
  }
}

/** One side of a call. */
export class CallStream<In, Out> {
  /** Aborted when the call is over, whoever ended it. */
  readonly signal: AbortSignal;
  readonly metadata: Metadata;
  protected readonly stream: Http2Stream;
  readonly #queue: MessageQueue;
  readonly #decoder: Decoder<In>;
  readonly #encoder: Encoder<Out>;
  readonly #abort = new AbortController();
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #scheduled = false;

  constructor(
    stream: Http2Stream,
    metadata: Metadata,
    codecs: { readonly incoming: Decoder<In>; readonly outgoing: Encoder<Out> },
  ) {
    this.stream = stream;
    this.metadata = metadata;
    this.signal = this.#abort.signal;
    this.#decoder = codecs.incoming;
    this.#encoder = codecs.outgoing;
    this.#queue = new MessageQueue(stream);
    // Each that waits for room listens.
    stream.setMaxListeners(0);
    stream.on("close", () => {
      this.#abort.abort();
      this.finish(new GrpcError(grpcCodes.canceled, "the call was canceled"));
    });
    // What went wrong is told by the outcome of the call.
    stream.on("error", () => {});
  }

  /** The next message; undefined after the last. Throws {@link GrpcError} when the call broke off. */
  async receive(): Promise<In | undefined> {
    const bytes = await this.#queue.next();
    return bytes === undefined ? undefined : this.#decoder.decode(bytes);
  }

  async *messages(): AsyncGenerator<In> {
    for (let message = await this.receive(); message !== undefined; message = await this.receive())
      yield message;
  }

  /** Sends in order; what is sent to a call that is over is dropped. See {@link drained}. */
  send(message: Out): void {
    const bytes = this.#encoder.encode(message);
    const prefix = Buffer.allocUnsafe(prefixBytes);
    prefix[0] = 0;
    prefix.writeUInt32BE(bytes.length, 1);
    this.#pending.push(prefix, bytes);
    this.#pendingBytes += prefixBytes + bytes.length;
    if (this.#pendingBytes >= writeBytes) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.flush();
      });
    }
  }

  /** True when more should be sent only after {@link drained}. */
  get isFull(): boolean {
    return this.stream.writableNeedDrain;
  }

  /** Resolves when the other side has taken enough of what was sent, or the call is over. */
  async drained(): Promise<void> {
    while (this.stream.writableNeedDrain && !this.signal.aborted)
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.stream.off("drain", done);
          this.stream.off("close", done);
          resolve();
        };
        this.stream.once("drain", done);
        this.stream.once("close", done);
      });
  }

  protected flush(): void {
    if (this.#pending.length === 0) return;
    const bytes = Buffer.concat(this.#pending, this.#pendingBytes);
    this.#pending = [];
    this.#pendingBytes = 0;
    if (!this.stream.destroyed && !this.stream.writableEnded) this.stream.write(bytes);
  }

  /** Ends reading, with an error when messages may be missing. */
  protected finish(error?: Error): void {
    this.#queue.finish(error);
  }
}

/** Metadata of an HTTP/2 header list as it came: names and values in turn. Pseudo-headers are left out. */
export function metadataOf(rawHeaders: readonly string[]): Metadata {
  const metadata = new Map<string, string[]>();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!;
    if (name.startsWith(":")) continue;
    const values = metadata.get(name);
    if (values === undefined) metadata.set(name, [rawHeaders[at + 1]!]);
    else values.push(rawHeaders[at + 1]!);
  }
  return metadata;
}
