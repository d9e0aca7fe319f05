/** What the kernel knows of unix sockets (sock_diag(7)). */
import { fstatSync } from "node:fs";
import { hasErrorCode, NetlinkSocket, parseAttributes } from "./netlink.ts";

const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const AF_UNIX = 1;
const UDIAG_SHOW_PEER = 0x4;
const UNIX_DIAG_PEER = 2;
const UNIX_DIAG_SHUTDOWN = 6;
const RCV_SHUTDOWN = 1;
const NO_COOKIE = 0xffff_ffff;
/** struct unix_diag_msg */
const MESSAGE_BYTES = 16;

/** What a kernel says that has no diagnosis of unix sockets, or does not let us ask. */
const missing = ["ENOENT", "EPROTONOSUPPORT", "EINVAL", "EOPNOTSUPP", "EPERM", "EACCES"];

let socket: NetlinkSocket | undefined | "unavailable";

/**
 * Whether the other side of a connected unix socket has been accepted by its server: until then it has no inode. True
 * for a connection that the server has closed. Undefined on a kernel that does not tell (no unix_diag).
 */
export function isAccepted(fd: number): boolean | undefined {
  if (socket === "unavailable") return undefined;
  try {
    socket ??= new NetlinkSocket(NETLINK_SOCK_DIAG);
    const [answer] = socket.request({
      what: "look at a unix socket",
      type: SOCK_DIAG_BY_FAMILY,
      body: peerRequest(fstatSync(fd).ino),
    });
    if (answer === undefined) return undefined;
    const attributes = parseAttributes(answer.body.subarray(MESSAGE_BYTES));
    const isShut = ((attributes.get(UNIX_DIAG_SHUTDOWN)?.[0] ?? 0) & RCV_SHUTDOWN) !== 0;
    return isShut || attributes.get(UNIX_DIAG_PEER)?.readUInt32LE(0) !== 0;
  } catch (error) {
    socket?.[Symbol.dispose]();
    // What passes (no descriptor, no memory) is no reason to ask never again.
    socket = hasErrorCode(error, ...missing) ? "unavailable" : undefined;
    return undefined;
  }
}

/** struct unix_diag_req */
function peerRequest(inode: number): Buffer {
  const body = Buffer.alloc(24);
  body[0] = AF_UNIX;
  body.writeUInt32LE(0xffff_ffff, 4);
  body.writeUInt32LE(inode, 8);
  body.writeUInt32LE(UDIAG_SHOW_PEER, 12);
  body.writeUInt32LE(NO_COOKIE, 16);
  body.writeUInt32LE(NO_COOKIE, 20);
  return body;
}
