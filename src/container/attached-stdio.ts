/** One client's streams over conmon's attach socket (conmon's conn_sock.c). */
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { connectSeqpacket, type SeqpacketSocket } from "../linux/seqpacket.ts";
import type { AttachedStdio } from "./monitor.ts";

/** conmon sends at most 8192 bytes of output after the byte that names the stream, and reads input by 32 KiB. */
const maxOutputPacketBytes = 8193;
const maxInputPacketBytes = 32_768;
const stderrMark = 3;
/** A monitor that does not come to it by then is stopped or stuck; its container is started all the same. */
const longestAcceptMs = 10_000;

class ConmonStdio implements AttachedStdio {
  readonly ended: Promise<void>;
  readonly #socket: SeqpacketSocket;
  readonly #end: () => void;
  #handler: ((stream: "stdout" | "stderr", chunk: Buffer) => boolean) | undefined;

  constructor(path: string) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#end = resolve;
    this.#socket = connectSeqpacket(path, maxOutputPacketBytes);
  }

  onData(handler: (stream: "stdout" | "stderr", chunk: Buffer) => boolean): void {
    const isReading = this.#handler !== undefined;
    this.#handler = handler;
    if (isReading) return;
    this.#socket.read(
      (packet) => this.#handler!(packet[0] === stderrMark ? "stderr" : "stdout", packet.subarray(1)),
      // A broken connection means that conmon is gone: there is no more output either way.
      () => this.#end(),
    );
  }

  async accepted(): Promise<void> {
    const deadlineMs = performance.now() + longestAcceptMs;
    for (let tries = 0; !this.#socket.isAccepted(); tries++) {
      if (performance.now() > deadlineMs) return;
      // Usually a matter of microseconds; on a busy machine of many milliseconds.
      await (tries < 20 ? setImmediate() : sleep(1));
    }
  }

  resume(): void {
    this.#socket.resume();
  }

  async write(chunk: Buffer): Promise<void> {
    const sends: Promise<void>[] = [];
    for (let offset = 0; offset < chunk.length; offset += maxInputPacketBytes)
      sends.push(this.#socket.send(chunk.subarray(offset, offset + maxInputPacketBytes)));
    await Promise.all(sends);
  }

  endInput(): void {
    this.#socket.endWrites();
  }

  park(): void {
    this.onData(() => true);
    this.#socket.resume();
  }

  detach(): void {
    this.#socket.close();
    this.#end();
  }
}

/** Connects to the socket `attach` of a bundle. Throws `notFound` when the container has no monitor. */
export function attachToBundle(bundle: string): AttachedStdio {
  return new ConmonStdio(`${bundle}/attach`);
}
