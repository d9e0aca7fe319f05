/**
 * Messages of rtnetlink(7): links, addresses, routes. Layouts and numbers: linux/if_link.h, linux/if_addr.h,
 * linux/rtnetlink.h.
 */
import { SocketAddress } from "node:net";
import {
  attribute,
  nested,
  NLM_F_CREATE,
  NLM_F_EXCL,
  type NetlinkRequest,
  parseAttributes,
  readText,
  text,
  u32,
} from "./netlink.ts";

export const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;
export const RTM_NEWROUTE = 24;
export const RTM_GETROUTE = 26;

export const IFLA_ADDRESS = 1;
export const IFLA_IFNAME = 3;
export const IFLA_MTU = 4;
export const IFLA_MASTER = 10;
const IFLA_OPERSTATE = 16;
export const IFLA_LINKINFO = 18;
export const IFLA_NET_NS_FD = 28;
export const IFLA_INFO_KIND = 1;
export const IFLA_INFO_DATA = 2;
export const IFLA_INFO_SLAVE_KIND = 4;
export const IFLA_INFO_SLAVE_DATA = 5;
const VETH_INFO_PEER = 1;
const IFLA_GROUP = 27;
export const IFLA_BR_NF_CALL_IPTABLES = 36;
export const IFLA_BR_NF_CALL_IP6TABLES = 37;
const IFLA_BRPORT_STATE = 1;
export const IFLA_BRPORT_MODE = 4;
export const IFLA_BRPORT_ISOLATED = 33;
export const IFA_ADDRESS = 1;
export const IFA_LOCAL = 2;
export const IFA_BROADCAST = 4;
export const RTA_DST = 1;
export const RTA_OIF = 4;
export const RTA_GATEWAY = 5;
export const RTA_TABLE = 15;
export const RT_TABLE_MAIN = 254;
export const RTPROT_BOOT = 3;
export const RT_SCOPE_UNIVERSE = 0;
export const RTN_UNICAST = 1;
export const RTM_DELROUTE = 25;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const IFLA_LINK = 5;
const IFLA_MACVLAN_MODE = 1;
const IFLA_MACVLAN_FLAGS = 2;
const IFLA_IPVLAN_MODE = 1;
const IFLA_IPVLAN_FLAGS = 2;
export const IFLA_VLAN_ID = 1;
export const IFA_FLAGS = 8;
export const IFA_F_NODAD = 0x02;
export const RT_SCOPE_LINK = 253;
const IFF_UP = 1;
const IF_OPER_UP = 6;
const BR_STATE_FORWARDING = 3;

export interface Link {
  readonly index: number;
  readonly name: string;
  /** `bridge`, `veth` …; empty for a plain device. */
  readonly kind: string;
  readonly mac: string;
  readonly mtu: number;
  readonly isUp: boolean;
  /** Packets pass: the kernel has dealt with the carrier that came when both ends were up, which it does a little later. */
  readonly isOperational: boolean;
  /** As a bridge's port it passes frames on. */
  readonly isForwarding: boolean;
  /** Index of the bridge (or bond) that it belongs to; 0 for none. */
  readonly masterIndex: number;
}

/** An address on a wire: IPv4, or IPv6 where it says so, and the length of its prefix. */
export interface LinkAddress {
  readonly address: string;
  readonly prefixLength: number;
}

export interface VethRequest {
  readonly name: string;
  readonly peerName: string;
  readonly peerMac: string;
  /** File of the peer's network namespace. */
  readonly peerNetns: string;
  readonly mtu: number;
  /** Index of the bridge that the near end joins. */
  readonly masterIndex: number;
}

/** A macvlan or ipvlan device: how it and its siblings see each other. */
export type SlaveKind =
  | { readonly kind: "macvlan"; readonly mode: "private" | "vepa" | "bridge" | "passthru" }
  | {
      readonly kind: "ipvlan";
      readonly mode: "l2" | "l3" | "l3s";
      readonly flag: "bridge" | "private" | "vepa";
    };

export interface SlaveRequest {
  readonly name: string;
  /** File of the network namespace that it is made in. */
  readonly netns: string;
  readonly parentIndex: number;
  readonly slave: SlaveKind;
  readonly mtu?: number | undefined;
  /** Of macvlan only: ipvlan devices have their parent's. */
  readonly mac?: string | undefined;
}

/** linux/if_link.h: enum macvlan_mode, IPVLAN_MODE_*, IPVLAN_F_* */
export function slaveData(slave: SlaveKind): Buffer[] {
  if (slave.kind === "macvlan") {
    const mode = { private: 1, vepa: 2, bridge: 4, passthru: 8 }[slave.mode];
    return [attribute(IFLA_MACVLAN_MODE, u32(mode)), attribute(IFLA_MACVLAN_FLAGS, Buffer.alloc(2))];
  }
  const mode = Buffer.alloc(2);
  mode.writeUInt16LE({ l2: 0, l3: 1, l3s: 2 }[slave.mode]);
  const flag = Buffer.alloc(2);
  flag.writeUInt16LE({ bridge: 0, private: 1, vepa: 2 }[slave.flag]);
  return [attribute(IFLA_IPVLAN_MODE, mode), attribute(IFLA_IPVLAN_FLAGS, flag)];
}

export interface LinkChange {
  readonly up?: boolean;
  readonly mtu?: number;
  readonly mac?: string;
  readonly name?: string;
  /** 0 leaves the bridge. */
  readonly masterIndex?: number;
}

export interface BridgePortOptions {
  /** Frames may go out by the port that they came in by. */
  readonly hairpin?: boolean;
  /** No frames to other isolated ports. */
  readonly isolated?: boolean;
}

export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(":", ""), "hex");
}

function ipv4Bytes(address: string): Buffer {
  return Buffer.from(address.split(".").map(Number));
}

/** struct ifinfomsg */
export function linkHeader(index = 0, up?: boolean): Buffer {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  if (up !== undefined) {
    header.writeUInt32LE(up ? IFF_UP : 0, 8);
    header.writeUInt32LE(IFF_UP, 12);
  }
  return header;
}

/** Bytes of an address of either family, and its number. The text must be an address. */
export function addressBytes(address: string): { readonly family: number; readonly bytes: Buffer } {
  if (!address.includes(":")) return { family: AF_INET, bytes: ipv4Bytes(address) };
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const hex = (high: string | undefined, low: string | undefined): string =>
    ((Number(high) << 8) | Number(low)).toString(16);
  const text =
    dotted === null ? address : `${dotted[1]}${hex(dotted[2], dotted[3])}:${hex(dotted[4], dotted[5])}`;
  const [head = "", tail] = text.split("::");
  const words = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((word) => Number.parseInt(word, 16));
  const before = words(head);
  const after = words(tail ?? "");
  const bytes = Buffer.alloc(16);
  for (const [i, word] of before.entries()) bytes.writeUInt16BE(word, 2 * i);
  for (const [i, word] of after.entries()) bytes.writeUInt16BE(word, 16 - 2 * (after.length - i));
  return { family: AF_INET6, bytes };
}

export function formatBytes(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16)).join(":");
  return new SocketAddress({ address: groups, family: "ipv6" }).address;
}

/** struct ifaddrmsg */
export function addressHeader(index: number, prefixLength: number, family = AF_INET): Buffer {
  const header = Buffer.alloc(8);
  header[0] = family;
  header[1] = prefixLength;
  header.writeUInt32LE(index, 4);
  return header;
}

export function parseLink(body: Buffer): Link {
  const attributes = parseAttributes(body.subarray(16));
  const info = parseAttributes(attributes.get(IFLA_LINKINFO) ?? Buffer.alloc(0));
  const port = parseAttributes(info.get(IFLA_INFO_SLAVE_DATA) ?? Buffer.alloc(0));
  return {
    index: body.readInt32LE(4),
    name: readText(attributes.get(IFLA_IFNAME)),
    kind: readText(info.get(IFLA_INFO_KIND)),
    mac: (attributes.get(IFLA_ADDRESS) ?? Buffer.alloc(0)).toString("hex").replace(/(..)(?=.)/g, "$1:"),
    mtu: attributes.get(IFLA_MTU)?.readUInt32LE() ?? 0,
    isUp: (body.readUInt32LE(8) & IFF_UP) !== 0,
    isOperational: attributes.get(IFLA_OPERSTATE)?.[0] === IF_OPER_UP,
    isForwarding: port.get(IFLA_BRPORT_STATE)?.[0] === BR_STATE_FORWARDING,
    masterIndex: attributes.get(IFLA_MASTER)?.readUInt32LE() ?? 0,
  };
}

/**
 * The request that makes a veth pair in one message: the near end up and in its bridge, the far end in another namespace.
 * The far end stays down: the kernel refuses to start an end whose peer is not there yet.
 */
export function vethRequest(request: VethRequest, netnsFd: number): NetlinkRequest {
  const peer = Buffer.concat([
    linkHeader(),
    attribute(IFLA_IFNAME, text(request.peerName)),
    attribute(IFLA_ADDRESS, macBytes(request.peerMac)),
    attribute(IFLA_MTU, u32(request.mtu)),
    attribute(IFLA_NET_NS_FD, u32(netnsFd)),
  ]);
  return {
    what: `create veth ${request.name}`,
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    body: Buffer.concat([
      linkHeader(0, true),
      attribute(IFLA_IFNAME, text(request.name)),
      attribute(IFLA_MTU, u32(request.mtu)),
      attribute(IFLA_MASTER, u32(request.masterIndex)),
      nested(
        IFLA_LINKINFO,
        attribute(IFLA_INFO_KIND, text("veth")),
        nested(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, peer)),
      ),
    ]),
  };
}

/** The request that changes a device. */
export function changeRequest(index: number, change: LinkChange): NetlinkRequest {
  const attributes = [linkHeader(index, change.up)];
  if (change.mtu !== undefined) attributes.push(attribute(IFLA_MTU, u32(change.mtu)));
  if (change.mac !== undefined) attributes.push(attribute(IFLA_ADDRESS, macBytes(change.mac)));
  if (change.name !== undefined) attributes.push(attribute(IFLA_IFNAME, text(change.name)));
  if (change.masterIndex !== undefined) attributes.push(attribute(IFLA_MASTER, u32(change.masterIndex)));
  return { what: `change link ${index}`, type: RTM_NEWLINK, body: Buffer.concat(attributes) };
}

export function deleteRequest(name: string): NetlinkRequest {
  const body = Buffer.concat([linkHeader(), attribute(IFLA_IFNAME, text(name))]);
  return { what: `delete link ${name}`, type: RTM_DELLINK, body };
}

export function groupRequest(name: string, group: number): NetlinkRequest {
  const body = Buffer.concat([
    linkHeader(),
    attribute(IFLA_IFNAME, text(name)),
    attribute(IFLA_GROUP, u32(group)),
  ]);
  return { what: `group link ${name}`, type: RTM_NEWLINK, body };
}

export function deleteGroupRequest(group: number): NetlinkRequest {
  const body = Buffer.concat([linkHeader(), attribute(IFLA_GROUP, u32(group))]);
  return { what: `delete the links of group ${group}`, type: RTM_DELLINK, body };
}
