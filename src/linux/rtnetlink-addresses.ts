/** Addresses and routes in rtnetlink(7)'s messages: requests, and what answers say. */
import {
  attribute,
  type NetlinkRequest,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  parseAttributes,
  u32,
} from "./netlink.ts";
import {
  addressBytes,
  addressHeader,
  AF_INET,
  AF_INET6,
  formatBytes,
  IFA_ADDRESS,
  IFA_BROADCAST,
  IFA_F_NODAD,
  IFA_FLAGS,
  IFA_LOCAL,
  type LinkAddress,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RTA_DST,
  RTA_GATEWAY,
  RTA_OIF,
  RTA_TABLE,
  RTM_DELADDR,
  RTM_DELROUTE,
  RTM_GETADDR,
  RTM_GETROUTE,
  RTM_NEWADDR,
  RTM_NEWROUTE,
  RTN_UNICAST,
  RTPROT_BOOT,
} from "./rtnetlink-messages.ts";

/** IP's versions. */
export type IpFamily = 4 | 6;

/** An address with the index of its link. */
export interface PlacedAddress extends LinkAddress {
  readonly linkIndex: number;
}

/** A default route has the prefix length 0; the gateway is empty on a link's own network. */
export interface Route {
  readonly destination: LinkAddress;
  readonly gateway: string;
  readonly linkIndex: number;
}

/** By a gateway, whose text says the family; or, where that is empty, straight out of a device, of the family `onLink`. */
export interface DefaultRoute {
  readonly gateway: string;
  readonly index: number;
  readonly onLink: IpFamily;
}

const numberOf = (family: IpFamily): number => (family === 4 ? AF_INET : AF_INET6);

export function addressesRequest(family: IpFamily): NetlinkRequest {
  const body = addressHeader(0, 0, numberOf(family));
  return { what: "list addresses", type: RTM_GETADDR, flags: NLM_F_DUMP, body };
}

/** Undefined for one of the other family. */
export function parseAddress(body: Buffer, family: IpFamily): PlacedAddress | undefined {
  if (body[0] !== numberOf(family)) return undefined;
  const attributes = parseAttributes(body.subarray(8));
  const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS) ?? Buffer.alloc(4);
  return { address: formatBytes(bytes), prefixLength: body[1] ?? 0, linkIndex: body.readUInt32LE(4) };
}

/** An IPv6 address is used at once: nobody is asked whether he has it (the one who gives addresses knows). */
export function addAddressRequest(index: number, { address, prefixLength }: LinkAddress): NetlinkRequest {
  const { family, bytes } = addressBytes(address);
  const attributes = [attribute(IFA_LOCAL, bytes), attribute(IFA_ADDRESS, bytes)];
  if (family === AF_INET && prefixLength < 31) {
    const hostMask = (2 ** (32 - prefixLength) - 1) >>> 0;
    const broadcast = Buffer.alloc(4);
    broadcast.writeUInt32BE((bytes.readUInt32BE() | hostMask) >>> 0);
    attributes.push(attribute(IFA_BROADCAST, broadcast));
  }
  if (family === AF_INET6) attributes.push(attribute(IFA_FLAGS, u32(IFA_F_NODAD)));
  return {
    what: `add address ${address}/${prefixLength}`,
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    body: Buffer.concat([addressHeader(index, prefixLength, family), ...attributes]),
  };
}

export function deleteAddressRequest(index: number, { address, prefixLength }: LinkAddress): NetlinkRequest {
  const { family, bytes } = addressBytes(address);
  return {
    what: `delete address ${address}/${prefixLength}`,
    type: RTM_DELADDR,
    body: Buffer.concat([addressHeader(index, prefixLength, family), attribute(IFA_LOCAL, bytes)]),
  };
}

export function defaultRouteRequest(
  verb: "add" | "delete",
  { gateway, index, onLink }: DefaultRoute,
): NetlinkRequest {
  const by = gateway === "" ? undefined : addressBytes(gateway);
  const family = by?.family ?? numberOf(onLink);
  const scope = by === undefined && family === AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  // struct rtmsg: family, prefix lengths, tos, table, protocol, scope, type, flags
  const header = Buffer.alloc(12);
  header.set([family, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST]);
  return {
    what: `${verb} default route by ${gateway || `device ${index}`}`,
    type: verb === "add" ? RTM_NEWROUTE : RTM_DELROUTE,
    flags: verb === "add" ? NLM_F_CREATE | NLM_F_EXCL : 0,
    body: Buffer.concat([
      header,
      ...(by === undefined ? [] : [attribute(RTA_GATEWAY, by.bytes)]),
      attribute(RTA_OIF, u32(index)),
    ]),
  };
}

export function routesRequest(family: IpFamily): NetlinkRequest {
  const header = Buffer.alloc(12);
  header[0] = numberOf(family);
  return { what: "list routes", type: RTM_GETROUTE, flags: NLM_F_DUMP, body: header };
}

/** Undefined for one of the other family or of another table than the main one. */
export function parseRoute(body: Buffer, family: IpFamily): Route | undefined {
  const attributes = parseAttributes(body.subarray(12));
  const table = attributes.get(RTA_TABLE)?.readUInt32LE() ?? body[4];
  if (body[0] !== numberOf(family) || table !== RT_TABLE_MAIN) return undefined;
  const gateway = attributes.get(RTA_GATEWAY);
  return {
    destination: {
      address: formatBytes(attributes.get(RTA_DST) ?? Buffer.alloc(family === 4 ? 4 : 16)),
      prefixLength: body[1] ?? 0,
    },
    gateway: gateway === undefined ? "" : formatBytes(gateway),
    linkIndex: attributes.get(RTA_OIF)?.readUInt32LE() ?? 0,
  };
}
