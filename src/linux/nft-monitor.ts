/**
 * Notices of changes to the nftables of the network namespace in which it is opened (linux/netfilter/nf_tables.h): the
 * kernel sends a message for each object that comes or goes, and one at the end of each transaction that says who it was.
 */
import { closeSync } from "node:fs";
import { EAGAIN, EINTR, errno, libc, setsockopt, systemError } from "./libc.ts";
import { NETLINK_NETFILTER, NetlinkSocket, parseAttributes, readText, u32 } from "./netlink.ts";
import { pollFd } from "./poll.ts";

const socketCall = libc.func("int socket(int domain, int type, int protocol)");
const bindCall = libc.func("int bind(int fd, void *address, uint32_t length)");
const recvCall = libc.func("ssize_t recv(int fd, void *data, size_t length, int flags)");

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NFNLGRP_NFTABLES = 7;
const ENOBUFS = 105;

const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_NEWRULE = 6;
const NFT_MSG_DELRULE = 8;
const NFT_MSG_NEWGEN = 15;
const NFT_MSG_GETGEN = 16;
/** Of every object: the name of its table. */
const NFTA_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_GEN_PROC_PID = 2;

const receiveBytes = 1 << 20;
const align4 = (length: number): number => (length + 3) & ~3;

/** What one transaction changed. */
export interface NftChange {
  /** It was this process's. */
  readonly isOwn: boolean;
  /** Messages were lost: anything may have changed. */
  readonly isIncomplete: boolean;
  /** By table: the chains whose rules changed, and whether anything else did. */
  readonly tables: ReadonlyMap<string, { readonly chains: ReadonlySet<string>; readonly others: boolean }>;
}

/** The number by which the kernel calls this process in its notices; not its pid in a pid namespace of its own. */
function ownNumber(): number {
  using socket = new NetlinkSocket(NETLINK_NETFILTER);
  const messages = socket.request({
    what: "ask for the generation of the nftables",
    type: (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN,
    body: Buffer.alloc(4),
  });
  return (
    parseAttributes(messages[0]?.body.subarray(4) ?? Buffer.alloc(0))
      .get(NFTA_GEN_PROC_PID)
      ?.readUInt32BE() ?? -1
  );
}

function openSocket(): number {
  const fd = socketCall(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_NETFILTER) as number;
  if (fd < 0) throw systemError("open a netlink socket");
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF_NETLINK, 0);
  const failed =
    bindCall(fd, address, address.length) !== 0 ||
    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, u32(NFNLGRP_NFTABLES)) !== 0;
  if (failed) {
    const failure = systemError("watch the nftables");
    closeSync(fd);
    throw failure;
  }
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, u32(receiveBytes));
  return fd;
}

/** Gathers the messages of a transaction until the one that ends it. */
class Transaction {
  readonly #own: number;
  #tables = new Map<string, { chains: Set<string>; others: boolean }>();

  /** `own` is this process's number. */
  constructor(own: number) {
    this.#own = own;
  }

  /** The change when this message was the last of one. */
  take(type: number, body: Buffer): NftChange | undefined {
    if (type >> 8 !== NFNL_SUBSYS_NFTABLES) return undefined;
    const message = type & 0xff;
    const attributes = parseAttributes(body.subarray(4));
    if (message === NFT_MSG_NEWGEN) {
      const tables = this.#tables;
      this.#tables = new Map();
      const isOwn = attributes.get(NFTA_GEN_PROC_PID)?.readUInt32BE() === this.#own;
      return { isOwn, isIncomplete: false, tables };
    }
    const name = readText(attributes.get(NFTA_TABLE));
    const table = this.#tables.get(name) ?? { chains: new Set(), others: false };
    this.#tables.set(name, table);
    if (message === NFT_MSG_NEWRULE || message === NFT_MSG_DELRULE)
      table.chains.add(readText(attributes.get(NFTA_RULE_CHAIN)));
    else table.others = true;
    return undefined;
  }

  /** Messages were lost: nobody knows of what. */
  lose(): NftChange {
    this.#tables = new Map();
    return { isOwn: false, isIncomplete: true, tables: new Map() };
  }
}

/** The messages in what was received at once (struct nlmsghdr). */
function* messagesIn(received: Buffer): Generator<{ readonly type: number; readonly body: Buffer }> {
  for (let offset = 0; offset + 16 <= received.length;) {
    const size = received.readUInt32LE(offset);
    if (size < 16) return;
    const body = Buffer.from(received.subarray(offset + 16, offset + size));
    yield { type: received.readUInt16LE(offset + 4), body };
    offset += align4(size);
  }
}

/** Calls `onChange` after each transaction on the nftables of the caller's network namespace. */
export function watchNftables(onChange: (change: NftChange) => void): Disposable {
  const transaction = new Transaction(ownNumber());
  const fd = openSocket();
  const buffer = Buffer.alloc(256 * 1024);
  const receive = (): void => {
    for (;;) {
      const length = Number(recvCall(fd, buffer, buffer.length, 0));
      if (length < 0) {
        const code = errno();
        if (code === EINTR) continue;
        if (code === ENOBUFS) {
          onChange(transaction.lose());
          continue;
        }
        if (code !== EAGAIN) poll.close();
        return;
      }
      for (const { type, body } of messagesIn(buffer.subarray(0, length))) {
        const change = transaction.take(type, body);
        if (change !== undefined) onChange(change);
      }
    }
  };
  const poll = pollFd(fd, { readable: true, writable: false }, receive);
  let isOpen = true;
  return {
    [Symbol.dispose]: () => {
      if (!isOpen) return;
      isOpen = false;
      poll.close();
      closeSync(fd);
    },
  };
}
