/**
 * Client side of SOCK_SEQPACKET unix sockets, which Node has no class for. One packet stays one packet in both
 * directions. Non-blocking on Node's event loop, with back-pressure both ways.
 */
import { closeSync, constants, openSync } from "node:fs";
import { basename, dirname } from "node:path";
import { isErrno } from "./fs-error.ts";
import { EAGAIN, ECONNRESET, EINTR, errno, fcntl, libc, setsockopt, systemError } from "./libc.ts";
import { pollFd, type FdPoll } from "./poll.ts";
import { isAccepted } from "./unix-diag.ts";

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const O_PATH = 0o10000000;
const MSG_NOSIGNAL = 0x4000;
const SHUT_WR = 1;
const F_SETFL = 4;
const SOL_SOCKET = 1;
const SO_SNDTIMEO = 21;
/** How long a connect waits for a place in the other side's queue, in ms. Its owner takes one in microseconds. */
const queueWaitMs = 250;
const SUN_PATH_BYTES = 108;
/** Packets read in one turn of the loop before others have theirs. */
const PACKETS_PER_TURN = 64;

const socketCall = libc.func("int socket(int domain, int type, int protocol)");
const connectCall = libc.func("int connect(int fd, void *address, unsigned int length)");
const recvCall = libc.func("ssize_t recv(int fd, void *buffer, size_t length, int flags)");
const sendCall = libc.func("ssize_t send(int fd, void *buffer, size_t length, int flags)");
const shutdownCall = libc.func("int shutdown(int fd, int how)");

/** A connected socket. */
export interface SeqpacketSocket {
  /**
   * Starts reading. `onPacket` gets a buffer of its own for each packet; false pauses until {@link resume}. `onEnd`
   * comes once, after the last packet, with an error when the connection broke.
   */
  read(onPacket: (packet: Buffer) => boolean, onEnd: (error?: Error) => void): void;
  resume(): void;
  /** Sends one packet. Resolves when the kernel took it; rejects when the other side is gone. */
  send(packet: Buffer): Promise<void>;
  /** End of our packets: the other side reads an end. After the sends that are under way. */
  endWrites(): void;
  /** Whether the server has accepted the connection; true when the kernel does not tell. */
  isAccepted(): boolean;
  /** Closes at once; `onEnd` does not come any more. Idempotent. */
  close(): void;
}

function address(path: string): Buffer {
  const bytes = Buffer.from(path);
  if (bytes.length >= SUN_PATH_BYTES) throw new RangeError(`socket path too long: ${path}`);
  const buffer = Buffer.alloc(2 + SUN_PATH_BYTES);
  buffer.writeUInt16LE(AF_UNIX, 0);
  bytes.copy(buffer, 2);
  return buffer;
}

/** connect(2) by a path that always fits: the directory's descriptor stands for what may be longer than 107 bytes. */
export function connectInDirectory(fd: number, path: string): void {
  const directory = openSync(dirname(path), O_PATH | constants.O_DIRECTORY);
  try {
    const name = address(`/proc/self/fd/${directory}/${basename(path)}`);
    for (;;) {
      if (connectCall(fd, name, name.length) === 0) return;
      const code = errno();
      if (code !== EINTR) throw systemError(`connect to ${path}`, code);
    }
  } finally {
    closeSync(directory);
  }
}

/** connect(2) to a name without a file (unix(7), abstract), which is written with `@` in front. */
export function connectAbstract(fd: number, name: string): void {
  const whole = address(`\0${name.slice(1)}`).subarray(0, 2 + Buffer.byteLength(name));
  while (connectCall(fd, whole, whole.length) !== 0) {
    const code = errno();
    if (code !== EINTR) throw systemError(`connect to ${name}`, code);
  }
}

class Connection implements SeqpacketSocket {
  readonly #fd: number;
  readonly #receiveBuffer: Buffer;
  readonly #poll: FdPoll;
  readonly #unsent: { packet: Buffer; resolve: () => void; reject: (error: Error) => void }[] = [];
  #onPacket: ((packet: Buffer) => boolean) | undefined;
  #onEnd: ((error?: Error) => void) | undefined;
  #reading = false;
  #open = true;
  #writesEnd = false;
  #wasReset = false;

  constructor(fd: number, maxPacketBytes: number) {
    this.#fd = fd;
    this.#receiveBuffer = Buffer.alloc(maxPacketBytes);
    this.#poll = pollFd(fd, { readable: false, writable: true }, (ready) => {
      if (ready.writable) this.#flush();
      if (ready.readable && this.#open) this.#receive();
    });
    this.#updatePoll();
  }

  #updatePoll(): void {
    this.#poll.want({ readable: this.#reading, writable: this.#unsent.length > 0 });
  }

  read(onPacket: (packet: Buffer) => boolean, onEnd: (error?: Error) => void): void {
    this.#onPacket = onPacket;
    this.#onEnd = onEnd;
    this.resume();
  }

  resume(): void {
    if (!this.#open || this.#reading) return;
    this.#reading = true;
    this.#updatePoll();
  }

  #receive(): void {
    for (let count = 0; count < PACKETS_PER_TURN; count += 1) {
      const length = recvCall(this.#fd, this.#receiveBuffer, this.#receiveBuffer.length, 0) as number;
      if (length < 0) {
        const code = errno();
        if (code === EINTR) continue;
        if (code === EAGAIN) return;
        // The other side has closed without reading all of ours. That comes first, once; what it had sent is still there.
        if (code === ECONNRESET && !this.#wasReset) {
          this.#wasReset = true;
          continue;
        }
        this.#finish(systemError("read from the socket", code));
        return;
      }
      if (length === 0) {
        this.#finish();
        return;
      }
      const goOn = this.#onPacket!(Buffer.from(this.#receiveBuffer.subarray(0, length)));
      if (!this.#open) return;
      if (!goOn) {
        this.#reading = false;
        this.#updatePoll();
        return;
      }
    }
  }

  #finish(error?: Error): void {
    const end = this.#onEnd;
    this.close();
    end?.(error);
  }

  send(packet: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.#open || this.#writesEnd) {
        reject(systemError("write to the socket", 32));
        return;
      }
      this.#unsent.push({ packet, resolve, reject });
      if (this.#unsent.length === 1) this.#flush();
    });
  }

  #flush(): void {
    while (this.#open && this.#unsent.length > 0) {
      const first = this.#unsent[0]!;
      if (sendCall(this.#fd, first.packet, first.packet.length, MSG_NOSIGNAL) >= 0) {
        this.#unsent.shift();
        first.resolve();
        continue;
      }
      const code = errno();
      if (code === EINTR) continue;
      if (code === EAGAIN) break;
      const error = systemError("write to the socket", code);
      for (const { reject } of this.#unsent.splice(0)) reject(error);
    }
    if (!this.#open) return;
    if (this.#writesEnd && this.#unsent.length === 0) shutdownCall(this.#fd, SHUT_WR);
    this.#updatePoll();
  }

  endWrites(): void {
    if (!this.#open || this.#writesEnd) return;
    this.#writesEnd = true;
    this.#flush();
  }

  isAccepted(): boolean {
    return !this.#open || (isAccepted(this.#fd) ?? true);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#poll.close();
    closeSync(this.#fd);
    for (const { reject } of this.#unsent.splice(0)) reject(systemError("write to the socket", 32));
  }
}

/**
 * The other side's queue of connections is short (conmon's has ten places), and many may connect at one moment: then the
 * kernel is asked to wait for a place (unix(7), SO_SNDTIMEO of socket(7)).
 */
function connectWhenThereIsRoom(fd: number, path: string): void {
  try {
    connectInDirectory(fd, path);
    return;
  } catch (error) {
    if (!isErrno(error, "EAGAIN")) throw error;
  }
  const timeout = Buffer.alloc(16);
  timeout.writeBigInt64LE(BigInt(queueWaitMs) * 1000n, 8);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, timeout);
  fcntl(fd, F_SETFL, 0);
  connectInDirectory(fd, path);
  fcntl(fd, F_SETFL, SOCK_NONBLOCK);
}

/**
 * Connects to the socket at `path`, which may be longer than the 107 bytes of a socket address. `maxPacketBytes` is
 * the longest packet that the other side sends (longer ones are cut by the kernel). Throws an EngineError of the
 * errno's kind; EAGAIN (kind `internal`) when the other side's queue of connections stays full for a quarter of a second.
 */
export function connectSeqpacket(path: string, maxPacketBytes: number): SeqpacketSocket {
  const fd = socketCall(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) as number;
  if (fd < 0) throw systemError("make a socket");
  try {
    connectWhenThereIsRoom(fd, path);
    return new Connection(fd, maxPacketBytes);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
