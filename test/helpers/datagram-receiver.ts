/** A SOCK_DGRAM unix socket that receives, as a service manager or a log daemon has one; Node has no class for it. */
import { closeSync, rmSync } from "node:fs";
import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const socketCall = libc.func("int socket(int domain, int type, int protocol)");
const bindCall = libc.func("int bind(int fd, void *address, uint32_t length)");
const receiveCall = libc.func("intptr_t recv(int fd, void *buffer, size_t length, int flags)");

const AF_UNIX = 1;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0o4000 | 0o2000000;

export class DatagramReceiver implements Disposable {
  readonly path: string;
  readonly #fd: number;
  readonly #received: string[] = [];

  /** Makes the socket; `path` is shorter than 108 bytes. */
  constructor(path: string) {
    this.path = path;
    this.#fd = socketCall(AF_UNIX, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0) as number;
    const address = Buffer.alloc(110);
    address.writeUInt16LE(AF_UNIX);
    address.write(path, 2);
    if (this.#fd < 0 || bindCall(this.#fd, address, address.length) !== 0)
      throw new Error(`no socket at ${path}: errno ${koffi.errno()}`);
  }

  /** Everything that has come so far. */
  received(): readonly string[] {
    const buffer = Buffer.alloc(4096);
    for (;;) {
      const length = Number(receiveCall(this.#fd, buffer, buffer.length, 0));
      if (length < 0) return this.#received;
      this.#received.push(buffer.toString("utf8", 0, length));
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
    rmSync(this.path, { force: true });
  }
}
