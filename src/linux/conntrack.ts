/**
 * The kernel's table of connections (linux/netfilter/nfnetlink_conntrack.h). A UDP flow keeps the translation that it
 * began with as long as packets come, so that it must be forgotten when its published port comes or goes.
 */
import {
  hasErrorCode,
  nested,
  NetlinkSocket,
  NETLINK_NETFILTER,
  NLM_F_DUMP,
  parseAttributes,
} from "./netlink.ts";

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_GET = 1;
const IPCTNL_MSG_CT_DELETE = 2;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V4_DST = 2;
const CTA_IP_V6_SRC = 3;
const CTA_IP_V6_DST = 4;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_DST_PORT = 3;
const AF_INET = 2;
const AF_INET6 = 10;
const IPPROTO_UDP = 17;

/** A UDP flow: where its first packet was sent, and the address that answers it. IPv6 addresses have all their digits. */
export interface UdpFlow {
  readonly destination: string;
  readonly destinationPort: number;
  readonly replySource: string;
}

/** struct nfgenmsg */
const header = (family: number): Buffer => Buffer.from([family, 0, 0, 0]);

interface Entry extends UdpFlow {
  readonly original: Buffer;
}

function addressIn(attributes: Map<number, Buffer>, v4: number, v6: number): string {
  const four = attributes.get(v4);
  if (four !== undefined) return four.join(".");
  return attributes.get(v6)?.toString("hex").match(/.{4}/g)?.join(":") ?? "";
}

function parseEntry(body: Buffer): Entry | undefined {
  const attributes = parseAttributes(body.subarray(4));
  const original = attributes.get(CTA_TUPLE_ORIG);
  const reply = attributes.get(CTA_TUPLE_REPLY);
  if (original === undefined || reply === undefined) return undefined;
  const protocol = parseAttributes(parseAttributes(original).get(CTA_TUPLE_PROTO) ?? Buffer.alloc(0));
  if (protocol.get(CTA_PROTO_NUM)?.[0] !== IPPROTO_UDP) return undefined;
  const replyIp = parseAttributes(parseAttributes(reply).get(CTA_TUPLE_IP) ?? Buffer.alloc(0));
  const originalIp = parseAttributes(parseAttributes(original).get(CTA_TUPLE_IP) ?? Buffer.alloc(0));
  return {
    original,
    destination: addressIn(originalIp, CTA_IP_V4_DST, CTA_IP_V6_DST),
    destinationPort: protocol.get(CTA_PROTO_DST_PORT)?.readUInt16BE() ?? 0,
    replySource: addressIn(replyIp, CTA_IP_V4_SRC, CTA_IP_V6_SRC),
  };
}

/**
 * Forgets the UDP flows that `isStale` picks, in the caller's network namespace, and says how many. Walks the whole
 * table: some milliseconds on a host with many connections.
 */
export function forgetUdpFlows(isStale: (flow: UdpFlow) => boolean): number {
  using socket = new NetlinkSocket(NETLINK_NETFILTER);
  return forgetFamily(socket, AF_INET, isStale) + forgetFamily(socket, AF_INET6, isStale);
}

function forgetFamily(socket: NetlinkSocket, family: number, isStale: (flow: UdpFlow) => boolean): number {
  const list = {
    what: "list connections",
    type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET,
    flags: NLM_F_DUMP,
    body: header(family),
  };
  let forgotten = 0;
  for (const { body } of socket.request(list)) {
    const entry = parseEntry(body);
    if (entry === undefined || !isStale(entry)) continue;
    try {
      socket.request({
        what: "forget a connection",
        type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE,
        body: Buffer.concat([header(family), nested(CTA_TUPLE_ORIG, entry.original)]),
      });
      forgotten += 1;
    } catch (error) {
      if (!hasErrorCode(error, "ENOENT")) throw error;
    }
  }
  return forgotten;
}
