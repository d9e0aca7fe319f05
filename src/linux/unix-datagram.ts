/** Client side of SOCK_DGRAM unix sockets (syslog's, journald's, a service manager's), which Node has no class for. */
import { closeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { EAGAIN, EINTR, ENOBUFS, errno, libc, systemError } from "./libc.ts";
import { connectAbstract, connectInDirectory } from "./seqpacket.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
/** How often it is looked whether a receiver whose queue was full has taken something. */
const retryMs = 5;

const socketCall = libc.func("int socket(int domain, int type, int protocol)");
const sendCall = libc.func("ssize_t send(int fd, void *buffer, size_t length, int flags)");

export class UnixDatagram implements Disposable {
  #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** To a socket's file, or to an abstract name (`@name`). Throws an EngineError of the errno's kind when nobody receives there. */
  static connect(path: string): UnixDatagram {
    const fd = socketCall(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) as number;
    if (fd < 0) throw systemError("make a socket");
    try {
      if (path.startsWith("@")) connectAbstract(fd, path);
      else connectInDirectory(fd, path);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return new UnixDatagram(fd);
  }

  /** Sends one packet; waits while the receiver's queue is full. Throws when the receiver is gone, and what `signal` aborts with. */
  async send(packet: Buffer, signal?: AbortSignal): Promise<void> {
    while (Number(sendCall(this.#fd, packet, packet.length, MSG_NOSIGNAL)) < 0) {
      const code = errno();
      signal?.throwIfAborted();
      if (code === EAGAIN || code === ENOBUFS) await sleep(retryMs);
      else if (code !== EINTR) throw systemError("send a packet", code);
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}
