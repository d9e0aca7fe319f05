/**
 * Netlink sockets: requests to the kernel and its answers (netlink(7), linux/netlink.h). The messages of each family are
 * in files of their own (`rtnetlink.ts`, `conntrack.ts`). Numbers are in the machine's byte order, which is little
 * endian on every machine that Node runs on.
 */
import { libc, setsockopt, errno, EAGAIN, EINTR, systemError } from "./libc.ts";
import { EngineError } from "../base/errors.ts";

const socketCall = libc.func("int socket(int domain, int type, int protocol)");
const sendCall = libc.func("ssize_t send(int fd, void *data, size_t length, int flags)");
const recvCall = libc.func("ssize_t recv(int fd, void *data, size_t length, int flags)");
const closeCall = libc.func("int close(int fd)");

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const MSG_TRUNC = 0x20;

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_ACK_TLVS = 0x200;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSGERR_ATTR_MSG = 1;
const NLA_TYPE_MASK = 0x3fff;
const NLA_F_NESTED = 0x8000;

const align4 = (length: number): number => (length + 3) & ~3;

/** One attribute: `struct nlattr` and its value, padded. */
export function attribute(type: number, value: Buffer): Buffer {
  const result = Buffer.alloc(align4(4 + value.length));
  result.writeUInt16LE(4 + value.length, 0);
  result.writeUInt16LE(type, 2);
  value.copy(result, 4);
  return result;
}

export function u8(value: number): Buffer {
  return Buffer.from([value]);
}

export function u32(value: number): Buffer {
  const result = Buffer.alloc(4);
  result.writeUInt32LE(value);
  return result;
}

/** A string with the NUL that the kernel wants. */
export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`, "utf8");
}

export function nested(type: number, ...attributes: readonly Buffer[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(attributes));
}

/** Attributes by type; a repeated one has its last value. */
export function parseAttributes(data: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  let offset = 0;
  while (offset + 4 <= data.length) {
    const length = data.readUInt16LE(offset);
    if (length < 4 || offset + length > data.length) break;
    found.set(data.readUInt16LE(offset + 2) & NLA_TYPE_MASK, data.subarray(offset + 4, offset + length));
    offset += align4(length);
  }
  return found;
}

/** NUL-terminated string of an attribute. */
export function readText(value: Buffer | undefined): string {
  if (value === undefined) return "";
  const end = value.indexOf(0);
  return value.toString("utf8", 0, end === -1 ? value.length : end);
}

export interface NetlinkRequest {
  /** What is being asked, for the error: `create bridge gantry0`. */
  readonly what: string;
  readonly type: number;
  /** Besides NLM_F_REQUEST; NLM_F_ACK is added unless it is a dump. */
  readonly flags?: number;
  /** The family's header and its attributes. */
  readonly body: Buffer;
}

export interface NetlinkMessage {
  readonly type: number;
  readonly body: Buffer;
}

const receiveBuffer = Buffer.alloc(256 * 1024);

/**
 * A socket of one netlink family in the network namespace in which it was opened. The kernel handles a request within
 * `send`, so that the answer is there when `send` returns.
 */
export class NetlinkSocket implements Disposable {
  #fd: number;
  #sequence = 0;

  constructor(protocol: number) {
    this.#fd = socketCall(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (this.#fd < 0) throw systemError("open a netlink socket");
    setsockopt(this.#fd, SOL_NETLINK, NETLINK_CAP_ACK, u32(1));
    setsockopt(this.#fd, SOL_NETLINK, NETLINK_EXT_ACK, u32(1));
    // struct timeval; only a guard against waiting for ever for an answer that a kernel does not send.
    const timeout = Buffer.alloc(16);
    timeout.writeBigInt64LE(5n, 0);
    setsockopt(this.#fd, SOL_SOCKET, SO_RCVTIMEO, timeout);
  }

  /** Sends and waits for the kernel's answer: the messages of a dump, or those before the acknowledgement. */
  request(request: NetlinkRequest): NetlinkMessage[] {
    const message = this.#encode(request);
    for (let attempt = 1; ; attempt++) {
      if (Number(sendCall(this.#fd, message, message.length, 0)) < 0) throw systemError(request.what);
      const answer = this.#receive(request.what);
      // Something changed during the dump, which may then lack an entry (linux/netlink.h, NLM_F_DUMP_INTR).
      if (!answer.interrupted || attempt === 5) return answer.messages;
    }
  }

  /**
   * As {@link request}, but the kernel works on a thread of libuv's pool: for changes that may wait tens of
   * milliseconds for the kernel's one lock on links. One at a time for a socket; not for dumps.
   */
  async requestAsync(request: NetlinkRequest): Promise<void> {
    const message = this.#encode(request);
    const sent = Promise.withResolvers<number>();
    sendCall.async(this.#fd, message, message.length, 0, (error: unknown, result: number | bigint) => {
      // koffi hands the callback no errno of the other thread; a failed send says nothing more than that.
      if (error === null || error === undefined) sent.resolve(Number(result));
      else sent.reject(error);
    });
    if ((await sent.promise) < 0)
      throw new EngineError("internal", `${request.what}: the netlink message could not be sent`);
    this.#receive(request.what);
  }

  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    closeCall(this.#fd);
    this.#fd = -1;
  }

  #encode({ type, flags = 0, body }: NetlinkRequest): Buffer {
    this.#sequence += 1;
    const isDump = (flags & NLM_F_DUMP) === NLM_F_DUMP && (flags & NLM_F_CREATE) === 0;
    const header = Buffer.alloc(16);
    header.writeUInt32LE(16 + body.length, 0);
    header.writeUInt16LE(type, 4);
    header.writeUInt16LE(NLM_F_REQUEST | flags | (isDump ? 0 : NLM_F_ACK), 6);
    header.writeUInt32LE(this.#sequence, 8);
    return Buffer.concat([header, body]);
  }

  #receive(what: string): { messages: NetlinkMessage[]; interrupted: boolean } {
    const messages: NetlinkMessage[] = [];
    let interrupted = false;
    for (;;) {
      const length = Number(recvCall(this.#fd, receiveBuffer, receiveBuffer.length, MSG_TRUNC));
      if (length < 0) {
        const code = errno();
        if (code === EINTR) continue;
        if (code === EAGAIN) throw new EngineError("internal", `${what}: the kernel gave no answer`);
        throw systemError(what, code);
      }
      let offset = 0;
      while (offset + 16 <= Math.min(length, receiveBuffer.length)) {
        const size = receiveBuffer.readUInt32LE(offset);
        const type = receiveBuffer.readUInt16LE(offset + 4);
        const flags = receiveBuffer.readUInt16LE(offset + 6);
        const isOurs = receiveBuffer.readUInt32LE(offset + 8) === this.#sequence;
        const body = Buffer.from(receiveBuffer.subarray(offset + 16, offset + size));
        offset += align4(size);
        if (!isOurs) continue;
        if ((flags & NLM_F_DUMP_INTR) !== 0) interrupted = true;
        if (type === NLMSG_ERROR || type === NLMSG_DONE) {
          throwOnError(what, body, (flags & NLM_F_ACK_TLVS) !== 0);
          return { messages, interrupted };
        }
        messages.push({ type, body });
      }
    }
  }
}

/** The kernel's words (net/core/rtnetlink.c) for a kind of device that it has not, and can load no module for. */
const unknownDevice = "Unknown device type";

/** Throws when an acknowledgement (struct nlmsgerr) or the end of a dump carries an error; adds the kernel's own words. */
function throwOnError(what: string, body: Buffer, hasAttributes: boolean): void {
  const code = body.length >= 4 ? -body.readInt32LE(0) : 0;
  if (code === 0) return;
  // With NETLINK_CAP_ACK only the header of the request is repeated: 4 bytes of error and 16 of header.
  const words = hasAttributes ? readText(parseAttributes(body.subarray(20)).get(NLMSGERR_ATTR_MSG)) : "";
  const error = systemError(words === "" ? what : `${what} (${words})`, code);
  if (words !== unknownDevice) throw error;
  const { kind, message } = error;
  const hint =
    "The kernel's module for it cannot be loaded. After an upgrade of the kernel's package, start the machine anew.";
  throw Object.assign(new EngineError(kind, message, { hint }), { code: error.code });
}

/** True for an error of one of these names (`EEXIST`). */
export function hasErrorCode(error: unknown, ...names: string[]): boolean {
  return error instanceof EngineError && names.includes((error as { code?: string }).code ?? "");
}
