/**
 * Both sides of a file transfer (fsutil, send.go and receive.go). The sender lists what it has; the receiver asks for the
 * bytes of those files that it does not have yet, so that an unchanged directory costs its listing alone.
 */
import type { Decoded, Encodable } from "../protobuf.ts";
import { type packet, packetTypes, type stat } from "./filesync.ts";

export type Stat = Decoded<typeof stat>;
type Packet = Decoded<typeof packet>;

/** A call with packets in both directions. */
export interface PacketCall {
  receive(): Promise<Packet | undefined>;
  send(message: Encodable<typeof packet>): void;
  readonly isFull: boolean;
  drained(): Promise<void>;
}

/** Bits of Go's `os.FileMode` that say that something is no regular file. */
const goTypeBits = 2 ** 31 + 2 ** 27 + 2 ** 26 + 2 ** 25 + 2 ** 24 + 2 ** 21 + 2 ** 19;
/** Pieces of a file in one packet. */
const chunkBytes = 64 * 1024;
const parallelSends = 8;
/** More than this of one file is not kept for a slow reader. */
const maxBufferedBytes = 16 * 1024 * 1024;

/** Whether a receiver may ask for the bytes. Both sides must agree. */
function hasBytes(mode: number): boolean {
  return (mode & goTypeBits) === 0;
}

export interface SentFile {
  readonly stat: Encodable<typeof stat>;
}

/**
 * Lists `files` and sends the bytes that are asked for. Resolves with the number of bytes of files that were sent. Throws
 * when the receiver gives up, or when a file cannot be listed; one that cannot be read is sent as far as it can be.
 */
export async function sendFiles<F extends SentFile>(
  call: PacketCall,
  files: AsyncIterable<F> | Iterable<F>,
  read: (file: F) => AsyncIterable<Uint8Array>,
): Promise<number> {
  const listed: (F | undefined)[] = [];
  const listing = listFiles(call, files, listed);
  const sends = new Set<Promise<void>>();
  let sentBytes = 0;
  let fault: unknown;
  const told = listing.catch((error: unknown) => {
    fault = error;
    call.send({ type: packetTypes.error, data: Buffer.from((error as Error).message) });
  });
  for (let message = await call.receive(); message !== undefined; message = await call.receive()) {
    if (message.type === packetTypes.error)
      throw new Error(`error from receiver: ${Buffer.from(message.data).toString()}`, { cause: fault });
    if (message.type === packetTypes.finished) {
      await told;
      await Promise.all(sends);
      if (fault !== undefined) throw fault;
      call.send({ type: packetTypes.finished });
      return sentBytes;
    }
    if (message.type !== packetTypes.request) continue;
    const file = listed[message.ID];
    if (file === undefined) throw new Error(`invalid file id ${message.ID}`);
    listed[message.ID] = undefined;
    if (sends.size >= parallelSends) await Promise.race(sends);
    const done = (bytes: number): void => {
      sentBytes += bytes;
      sends.delete(send);
    };
    const send = sendFile(call, message.ID, { bytes: read(file), done });
    sends.add(send);
  }
  await told;
  if (fault !== undefined) throw fault;
  throw new Error("the receiver ended the transfer");
}

async function listFiles<F extends SentFile>(
  call: PacketCall,
  files: AsyncIterable<F> | Iterable<F>,
  listed: (F | undefined)[],
): Promise<void> {
  for await (const file of files) {
    listed.push(hasBytes(file.stat.mode ?? 0) ? file : undefined);
    call.send({ type: packetTypes.stat, stat: file.stat });
    if (call.isFull) await call.drained();
  }
  call.send({ type: packetTypes.stat });
}

async function sendFile(
  call: PacketCall,
  id: number,
  file: { readonly bytes: AsyncIterable<Uint8Array>; readonly done: (sentBytes: number) => void },
): Promise<void> {
  let sent = 0;
  try {
    for await (const chunk of file.bytes)
      for (let at = 0; at < chunk.length; at += chunkBytes) {
        const data = chunk.subarray(at, at + chunkBytes);
        call.send({ type: packetTypes.data, ID: id, data });
        sent += data.length;
        if (call.isFull) await call.drained();
      }
  } catch {
    // A file that went away or shrank meanwhile: the receiver sees that it is short.
  }
  call.send({ type: packetTypes.data, ID: id });
  file.done(sent);
}

/** The bytes of one file on their way in. */
class Incoming {
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #dropped = false;
  #error: unknown;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  get isFull(): boolean {
    return this.#bytes > maxBufferedBytes && !this.#dropped;
  }

  push(chunk: Uint8Array): void {
    if (this.#dropped) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.#wakeReader?.();
  }

  end(error?: unknown): void {
    this.#ended = true;
    this.#error = error;
    this.#wakeReader?.();
  }

  async drained(): Promise<void> {
    while (this.isFull) await new Promise<void>((resolve) => (this.#wakeWriter = resolve));
  }

  async *read(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const chunks = this.#chunks;
        this.#chunks = [];
        this.#bytes = 0;
        this.#wakeWriter?.();
        yield* chunks;
        if (this.#chunks.length > 0) continue;
        if (this.#ended) break;
        await new Promise<void>((resolve) => (this.#wakeReader = resolve));
      }
      if (this.#error !== undefined) throw this.#error;
    } finally {
      this.#dropped = true;
      this.#chunks = [];
      this.#wakeWriter?.();
    }
  }
}

/** One transfer as the receiver sees it. */
export class FileReceiver {
  readonly #call: PacketCall;
  readonly #onStat: ((stat: Stat) => void) | undefined;
  /** A place is emptied when it has been read. */
  readonly #stats: (Stat | undefined)[] = [];
  readonly #files = new Map<number, Incoming>();
  #listed = false;
  #finished = false;
  #error: unknown;
  #wake: (() => void) | undefined;
  readonly #done: Promise<void>;

  /** Begins to read the call at once. `onStat` sees what is listed as it comes; what it throws ends the transfer. */
  constructor(call: PacketCall, onStat?: (stat: Stat) => void) {
    this.#call = call;
    this.#onStat = onStat;
    this.#done = this.#run().then(
      () => this.#end(new Error("the sender ended the transfer")),
      (error: unknown) => this.#end(error),
    );
  }

  /** What the sender lists, with the number to ask for it. Read once. */
  async *list(): AsyncGenerator<{ readonly id: number; readonly stat: Stat }> {
    for (let id = 0; ; id++) {
      while (id >= this.#stats.length && !this.#listed && this.#error === undefined)
        await new Promise<void>((resolve) => (this.#wake = resolve));
      const found = this.#stats[id];
      if (found === undefined) {
        if (!this.#listed) throw this.#error;
        return;
      }
      this.#stats[id] = undefined;
      yield { id, stat: found };
    }
  }

  /** Asks for a file's bytes; each file once. */
  read(id: number): AsyncIterable<Uint8Array> {
    const file = new Incoming();
    if (this.#error === undefined) {
      this.#files.set(id, file);
      this.#call.send({ type: packetTypes.request, ID: id });
    } else file.end(this.#error);
    return file.read();
  }

  /** Ends the transfer in good order. Throws when the sender failed meanwhile. */
  async finish(): Promise<void> {
    if (this.#error !== undefined) throw this.#error;
    this.#call.send({ type: packetTypes.finished });
    await this.#done;
    if (!this.#finished) throw this.#error;
  }

  /** Tells the sender that nothing more is wanted. */
  fail(message: string): void {
    if (this.#error === undefined) this.#call.send({ type: packetTypes.error, data: Buffer.from(message) });
  }

  async #run(): Promise<void> {
    for (
      let message = await this.#call.receive();
      message !== undefined;
      message = await this.#call.receive()
    ) {
      switch (message.type) {
        case packetTypes.stat:
          if (message.stat === undefined) this.#listed = true;
          else {
            this.#onStat?.(message.stat);
            this.#stats.push(message.stat);
          }
          this.#wake?.();
          break;
        case packetTypes.data:
          await this.#take(message);
          break;
        case packetTypes.finished:
          this.#finished = true;
          return;
        case packetTypes.error:
          throw new Error(`error from sender: ${Buffer.from(message.data).toString()}`);
        default:
      }
    }
  }

  async #take({ ID, data }: Packet): Promise<void> {
    const file = this.#files.get(ID);
    if (file === undefined) throw new Error(`bytes for the file ${ID} that nobody asked for`);
    if (data.length === 0) {
      this.#files.delete(ID);
      file.end();
      return;
    }
    file.push(data);
    // Everybody waits for one slow reader: the sender's other files are under way in the same call.
    if (file.isFull) await file.drained();
  }

  #end(error: unknown): void {
    this.#error ??= error;
    for (const file of this.#files.values()) file.end(error);
    this.#wake?.();
  }
}
