/**
 * Sockets of IPv4 and IPv6 as bare descriptors: opened inside another network namespace they stay there, and Node's
 * `dgram` and `net` take them over by number. socket(2), bind(2), listen(2); addresses as in ip(7) and ipv6(7).
 */
import { closeSync } from "node:fs";
import { isIPv6 } from "node:net";
import { libc, setsockopt, systemError } from "./libc.ts";

const socketCall = libc.func("int socket(int domain, int type, int protocol)");
const bindCall = libc.func("int bind(int fd, const uint8_t *address, uint32_t length)");
const listenCall = libc.func("int listen(int fd, int backlog)");
const getsocknameCall = libc.func("int getsockname(int fd, uint8_t *address, _Inout_ uint32_t *length)");

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_BINDTODEVICE = 25;
const backlog = 128;

export interface InetSocketRequest {
  readonly kind: "udp" | "tcp";
  /** An IPv4 address, or `::` for a socket of IPv6 that is bound to none. */
  readonly address: string;
  /** 0 for one that the kernel picks. */
  readonly port: number;
  /** Whether a TCP socket listens. */
  readonly listen?: boolean;
  /** Name of the one network device whose packets it takes (SO_BINDTODEVICE, socket(7)); all when absent. */
  readonly device?: string;
}

function setOption(fd: number, name: number, value: Buffer, what: string): void {
  if (setsockopt(fd, SOL_SOCKET, name, value) !== 0) throw systemError(what);
}

/**
 * Opens and binds a socket. The caller closes it, or hands it to what does. Throws `conflict` for a port in use, by
 * more than connections that are over (a listening socket is opened with SO_REUSEADDR, as Node.js opens its own).
 */
export function openInetSocket({ kind, address, port, listen = false, device }: InetSocketRequest): {
  fd: number;
  port: number;
} {
  const type = (kind === "udp" ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const v6 = isIPv6(address);
  const fd = socketCall(v6 ? AF_INET6 : AF_INET, type, 0) as number;
  const what = `bind ${kind} ${address}:${port}`;
  if (fd < 0) throw systemError(what);
  try {
    const name = v6 ? Buffer.alloc(28) : Buffer.alloc(16);
    name.writeUInt16LE(v6 ? AF_INET6 : AF_INET, 0);
    name.writeUInt16BE(port, 2);
    if (!v6) name.set(address.split(".").map(Number), 4);
    if (listen) setOption(fd, SO_REUSEADDR, Buffer.from([1, 0, 0, 0]), what);
    if (device !== undefined) setOption(fd, SO_BINDTODEVICE, Buffer.from(device), `${what} to ${device}`);
    if (bindCall(fd, name, name.length) !== 0) throw systemError(what);
    if (listen && listenCall(fd, backlog) !== 0) throw systemError(`listen on ${kind} ${address}:${port}`);
    if (getsocknameCall(fd, name, [name.length]) !== 0) throw systemError(what);
    return { fd, port: name.readUInt16BE(2) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
