/**
 * Links, addresses and routes of one network namespace through rtnetlink(7). Layouts and numbers: linux/if_link.h,
 * linux/if_addr.h, linux/rtnetlink.h.
 */
import { closeSync, openSync } from "node:fs";
import {
  attribute,
  hasErrorCode,
  nested,
  NetlinkSocket,
  NETLINK_ROUTE,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  type NetlinkRequest,
  parseAttributes,
  readText,
  text,
  u32,
  u8,
} from "./netlink.ts";
import { inNetns } from "./netns.ts";

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const RTM_GETROUTE = 26;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_NET_NS_FD = 28;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;
const VETH_INFO_PEER = 1;
const IFLA_BR_NF_CALL_IPTABLES = 36;
const IFLA_BRPORT_STATE = 1;
const IFLA_BRPORT_MODE = 4;
const IFLA_BRPORT_ISOLATED = 33;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_TABLE = 15;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RT_SCOPE_UNIVERSE = 0;
const RTN_UNICAST = 1;
const AF_INET = 2;
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

/** An IPv4 network on the wire: address and length of its prefix. */
export interface Ipv4Address {
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

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(":", ""), "hex");
}

function ipv4Bytes(address: string): Buffer {
  return Buffer.from(address.split(".").map(Number));
}

/** struct ifinfomsg */
function linkHeader(index = 0, up?: boolean): Buffer {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  if (up !== undefined) {
    header.writeUInt32LE(up ? IFF_UP : 0, 8);
    header.writeUInt32LE(IFF_UP, 12);
  }
  return header;
}

/** struct ifaddrmsg */
function addressHeader(index: number, prefixLength: number): Buffer {
  const header = Buffer.alloc(8);
  header[0] = AF_INET;
  header[1] = prefixLength;
  header.writeUInt32LE(index, 4);
  return header;
}

function parseLink(body: Buffer): Link {
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
function vethRequest(request: VethRequest, netnsFd: number): NetlinkRequest {
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

/** Every method throws an EngineError of the errno's kind: `notFound` for a device that is gone, `alreadyExists` … */
export class RouteSocket implements Disposable {
  readonly #socket: NetlinkSocket;

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** In the namespace bound to `netns`, or in the caller's own. Stays in it wherever it is used. */
  static open(netns?: string): RouteSocket {
    const make = (): NetlinkSocket => new NetlinkSocket(NETLINK_ROUTE);
    return new RouteSocket(netns === undefined ? make() : inNetns(netns, make));
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  links(): Link[] {
    const request = { what: "list links", type: RTM_GETLINK, flags: NLM_F_DUMP, body: linkHeader() };
    return this.#socket.request(request).map(({ body }) => parseLink(body));
  }

  /** Undefined when there is no such device. */
  link(name: string): Link | undefined {
    const body = Buffer.concat([linkHeader(), attribute(IFLA_IFNAME, text(name))]);
    try {
      const [answer] = this.#socket.request({ what: `look up link ${name}`, type: RTM_GETLINK, body });
      return answer === undefined ? undefined : parseLink(answer.body);
    } catch (error) {
      if (hasErrorCode(error, "ENODEV")) return undefined;
      throw error;
    }
  }

  /** A bridge that is up. A fixed hardware address keeps it from changing with every device that joins or leaves. */
  createBridge(name: string, options: { mac: string; mtu: number }): void {
    this.#socket.request({
      what: `create bridge ${name}`,
      type: RTM_NEWLINK,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      body: Buffer.concat([
        linkHeader(0, true),
        attribute(IFLA_IFNAME, text(name)),
        attribute(IFLA_ADDRESS, macBytes(options.mac)),
        attribute(IFLA_MTU, u32(options.mtu)),
        nested(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, text("bridge"))),
      ]),
    });
  }

  /** Makes the bridge's frames pass the IP layer's netfilter hooks; needs the kernel's br_netfilter. */
  setBridgeCallIptables(index: number, on: boolean): void {
    this.#changeLink(
      index,
      nested(
        IFLA_LINKINFO,
        attribute(IFLA_INFO_KIND, text("bridge")),
        nested(IFLA_INFO_DATA, attribute(IFLA_BR_NF_CALL_IPTABLES, u8(on ? 1 : 0))),
      ),
    );
  }

  setBridgePort(index: number, { hairpin, isolated }: BridgePortOptions): void {
    const options: Buffer[] = [];
    if (hairpin !== undefined) options.push(attribute(IFLA_BRPORT_MODE, u8(hairpin ? 1 : 0)));
    if (isolated !== undefined) options.push(attribute(IFLA_BRPORT_ISOLATED, u8(isolated ? 1 : 0)));
    this.#changeLink(
      index,
      nested(
        IFLA_LINKINFO,
        attribute(IFLA_INFO_SLAVE_KIND, text("bridge")),
        nested(IFLA_INFO_SLAVE_DATA, ...options),
      ),
    );
  }

  #changeLink(index: number, ...attributes: Buffer[]): void {
    const body = Buffer.concat([linkHeader(index), ...attributes]);
    this.#socket.request({ what: `change link ${index}`, type: RTM_NEWLINK, body });
  }

  createVeth(request: VethRequest): void {
    const netns = openSync(request.peerNetns, "r");
    try {
      this.#socket.request(vethRequest(request, netns));
    } finally {
      closeSync(netns);
    }
  }

  /** As {@link createVeth}, while the event loop goes on. Nothing else may use this socket meanwhile. */
  async createVethAsync(request: VethRequest): Promise<void> {
    const netns = openSync(request.peerNetns, "r");
    try {
      await this.#socket.requestAsync(vethRequest(request, netns));
    } finally {
      closeSync(netns);
    }
  }

  setLink(index: number, change: LinkChange): void {
    const attributes = [linkHeader(index, change.up)];
    if (change.mtu !== undefined) attributes.push(attribute(IFLA_MTU, u32(change.mtu)));
    if (change.mac !== undefined) attributes.push(attribute(IFLA_ADDRESS, macBytes(change.mac)));
    if (change.name !== undefined) attributes.push(attribute(IFLA_IFNAME, text(change.name)));
    if (change.masterIndex !== undefined) attributes.push(attribute(IFLA_MASTER, u32(change.masterIndex)));
    const body = Buffer.concat(attributes);
    this.#socket.request({ what: `change link ${index}`, type: RTM_NEWLINK, body });
  }

  /** Takes tens of milliseconds for a veth. False when there is no such device. */
  deleteLink(name: string): boolean {
    try {
      this.#socket.request(deleteRequest(name));
      return true;
    } catch (error) {
      if (hasErrorCode(error, "ENODEV")) return false;
      throw error;
    }
  }

  /** As {@link deleteLink}, while the event loop goes on. Nothing else may use this socket meanwhile. */
  async deleteLinkAsync(name: string): Promise<boolean> {
    try {
      await this.#socket.requestAsync(deleteRequest(name));
      return true;
    } catch (error) {
      if (hasErrorCode(error, "ENODEV")) return false;
      throw error;
    }
  }

  /** IPv4 addresses, with the index of their link. */
  addresses(): (Ipv4Address & { readonly linkIndex: number })[] {
    const request = {
      what: "list addresses",
      type: RTM_GETADDR,
      flags: NLM_F_DUMP,
      body: addressHeader(0, 0),
    };
    return this.#socket
      .request(request)
      .filter(({ body }) => body[0] === AF_INET)
      .map(({ body }) => {
        const attributes = parseAttributes(body.subarray(8));
        const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS) ?? Buffer.alloc(4);
        return { address: bytes.join("."), prefixLength: body[1] ?? 0, linkIndex: body.readUInt32LE(4) };
      });
  }

  addAddress(index: number, { address, prefixLength }: Ipv4Address): void {
    const bytes = ipv4Bytes(address);
    const attributes = [attribute(IFA_LOCAL, bytes), attribute(IFA_ADDRESS, bytes)];
    if (prefixLength < 31) {
      const hostMask = (2 ** (32 - prefixLength) - 1) >>> 0;
      const broadcast = Buffer.alloc(4);
      broadcast.writeUInt32BE((bytes.readUInt32BE() | hostMask) >>> 0);
      attributes.push(attribute(IFA_BROADCAST, broadcast));
    }
    this.#socket.request({
      what: `add address ${address}/${prefixLength}`,
      type: RTM_NEWADDR,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      body: Buffer.concat([addressHeader(index, prefixLength), ...attributes]),
    });
  }

  deleteAddress(index: number, { address, prefixLength }: Ipv4Address): void {
    this.#socket.request({
      what: `delete address ${address}/${prefixLength}`,
      type: RTM_DELADDR,
      body: Buffer.concat([addressHeader(index, prefixLength), attribute(IFA_LOCAL, ipv4Bytes(address))]),
    });
  }

  addDefaultRoute(gateway: string, index: number): void {
    // struct rtmsg: family, prefix lengths, tos, table, protocol, scope, type, flags
    const header = Buffer.alloc(12);
    header.set([AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST]);
    this.#socket.request({
      what: `add default route by ${gateway}`,
      type: RTM_NEWROUTE,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      body: Buffer.concat([
        header,
        attribute(RTA_GATEWAY, ipv4Bytes(gateway)),
        attribute(RTA_OIF, u32(index)),
      ]),
    });
  }

  /** IPv4 routes of the main table. A default route has the destination 0.0.0.0/0; the gateway is empty on a link's own network. */
  routes(): { destination: Ipv4Address; gateway: string; linkIndex: number }[] {
    const header = Buffer.alloc(12);
    header[0] = AF_INET;
    const request = { what: "list routes", type: RTM_GETROUTE, flags: NLM_F_DUMP, body: header };
    const routes: { destination: Ipv4Address; gateway: string; linkIndex: number }[] = [];
    for (const { body } of this.#socket.request(request)) {
      const attributes = parseAttributes(body.subarray(12));
      const table = attributes.get(RTA_TABLE)?.readUInt32LE() ?? body[4];
      if (body[0] !== AF_INET || table !== RT_TABLE_MAIN) continue;
      routes.push({
        destination: {
          address: (attributes.get(RTA_DST) ?? Buffer.alloc(4)).join("."),
          prefixLength: body[1] ?? 0,
        },
        gateway: attributes.get(RTA_GATEWAY)?.join(".") ?? "",
        linkIndex: attributes.get(RTA_OIF)?.readUInt32LE() ?? 0,
      });
    }
    return routes;
  }
}

function deleteRequest(name: string): NetlinkRequest {
  const body = Buffer.concat([linkHeader(), attribute(IFLA_IFNAME, text(name))]);
  return { what: `delete link ${name}`, type: RTM_DELLINK, body };
}
