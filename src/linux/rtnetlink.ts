/** Links, addresses and routes of one network namespace through rtnetlink(7). */
import { closeSync, openSync } from "node:fs";
import {
  attribute,
  hasErrorCode,
  nested,
  type NetlinkRequest,
  NetlinkSocket,
  NETLINK_ROUTE,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  text,
  u32,
  u8,
} from "./netlink.ts";
import { inNetns } from "./netns.ts";
import {
  addAddressRequest,
  addressesRequest,
  defaultRouteRequest,
  deleteAddressRequest,
  type IpFamily,
  parseAddress,
  parseRoute,
  type PlacedAddress,
  type Route,
  routesRequest,
} from "./rtnetlink-addresses.ts";
import {
  RTM_NEWLINK,
  RTM_GETLINK,
  IFLA_ADDRESS,
  IFLA_IFNAME,
  IFLA_MTU,
  IFLA_LINKINFO,
  IFLA_NET_NS_FD,
  IFLA_INFO_KIND,
  IFLA_INFO_DATA,
  IFLA_INFO_SLAVE_KIND,
  IFLA_INFO_SLAVE_DATA,
  IFLA_BR_NF_CALL_IPTABLES,
  IFLA_BR_NF_CALL_IP6TABLES,
  IFLA_BRPORT_MODE,
  IFLA_BRPORT_ISOLATED,
  IFLA_LINK,
  IFLA_VLAN_ID,
  slaveData,
  macBytes,
  linkHeader,
  parseLink,
  vethRequest,
  deleteRequest,
  deleteGroupRequest,
  groupRequest,
  changeRequest,
  type Link,
  type LinkAddress,
  type VethRequest,
  type SlaveRequest,
  type LinkChange,
  type BridgePortOptions,
} from "./rtnetlink-messages.ts";

export type {
  Link,
  LinkAddress,
  VethRequest,
  SlaveKind,
  SlaveRequest,
  LinkChange,
  BridgePortOptions,
} from "./rtnetlink-messages.ts";

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

  /** Makes the bridge's frames pass the IP layers' netfilter hooks; needs the kernel's br_netfilter. */
  setBridgeCallIptables(index: number, { ipv4, ipv6 }: { ipv4: boolean; ipv6: boolean }): void {
    this.#changeLink(
      index,
      nested(
        IFLA_LINKINFO,
        attribute(IFLA_INFO_KIND, text("bridge")),
        nested(
          IFLA_INFO_DATA,
          attribute(IFLA_BR_NF_CALL_IPTABLES, u8(ipv4 ? 1 : 0)),
          attribute(IFLA_BR_NF_CALL_IP6TABLES, u8(ipv6 ? 1 : 0)),
        ),
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

  /** A device without a wire, up: what is sent to it is gone. Where the kernel has no dummies, a bridge without ports. */
  createDummy(name: string): void {
    try {
      this.#createLink(name, "dummy", { up: true });
    } catch (error) {
      if (!hasErrorCode(error, "EOPNOTSUPP", "ENOTSUP")) throw error;
      this.#createLink(name, "bridge", { up: true });
    }
  }

  /** A VLAN's device (802.1Q) over another, up. */
  createVlan(name: string, { parentIndex, vlan }: { parentIndex: number; vlan: number }): void {
    const id = Buffer.alloc(2);
    id.writeUInt16LE(vlan);
    this.#createLink(name, "vlan", { up: true, parentIndex, data: [attribute(IFLA_VLAN_ID, id)] });
  }

  /** A device with addresses of its own over another one (`parentIndex`), in another namespace, down. */
  createSlave({ name, netns, parentIndex, mtu, mac, slave }: SlaveRequest): void {
    const fd = openSync(netns, "r");
    try {
      this.#createLink(name, slave.kind, {
        parentIndex,
        data: slaveData(slave),
        attributes: [
          attribute(IFLA_NET_NS_FD, u32(fd)),
          ...(mac === undefined ? [] : [attribute(IFLA_ADDRESS, macBytes(mac))]),
          ...(mtu === undefined ? [] : [attribute(IFLA_MTU, u32(mtu))]),
        ],
      });
    } finally {
      closeSync(fd);
    }
  }

  #createLink(
    name: string,
    kind: string,
    options: {
      readonly up?: boolean;
      readonly parentIndex?: number;
      readonly data?: readonly Buffer[];
      readonly attributes?: readonly Buffer[];
    },
  ): void {
    const { up, parentIndex, data = [], attributes = [] } = options;
    this.#socket.request({
      what: `create a network device ${name} of kind ${kind}`,
      type: RTM_NEWLINK,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      body: Buffer.concat([
        linkHeader(0, up),
        attribute(IFLA_IFNAME, text(name)),
        ...(parentIndex === undefined ? [] : [attribute(IFLA_LINK, u32(parentIndex))]),
        ...attributes,
        nested(
          IFLA_LINKINFO,
          attribute(IFLA_INFO_KIND, text(kind)),
          ...(data.length === 0 ? [] : [nested(IFLA_INFO_DATA, ...data)]),
        ),
      ]),
    });
  }

  setLink(index: number, change: LinkChange): void {
    this.#socket.request(changeRequest(index, change));
  }

  /** As {@link setLink}, while the event loop goes on. Nothing else may use this socket meanwhile. */
  async setLinkAsync(index: number, change: LinkChange): Promise<void> {
    await this.#socket.requestAsync(changeRequest(index, change));
  }

  /** Takes tens of milliseconds for a veth. False when there is no such device. */
  deleteLink(name: string): boolean {
    return this.#unlessGone(deleteRequest(name));
  }

  /** As {@link deleteLink}, while the event loop goes on. Nothing else may use this socket meanwhile. */
  async deleteLinkAsync(name: string): Promise<boolean> {
    return await this.#unlessGoneAsync(deleteRequest(name));
  }

  /** Puts a device into a group (`ip link set … group`). False when there is no such device. */
  setGroup(name: string, group: number): boolean {
    return this.#unlessGone(groupRequest(name, group));
  }

  /** Deletes all devices of a group at once, while the event loop goes on. False when there is none. */
  async deleteGroupAsync(group: number): Promise<boolean> {
    return await this.#unlessGoneAsync(deleteGroupRequest(group));
  }

  #unlessGone(request: NetlinkRequest): boolean {
    try {
      this.#socket.request(request);
      return true;
    } catch (error) {
      if (hasErrorCode(error, "ENODEV")) return false;
      throw error;
    }
  }

  async #unlessGoneAsync(request: NetlinkRequest): Promise<boolean> {
    try {
      await this.#socket.requestAsync(request);
      return true;
    } catch (error) {
      if (hasErrorCode(error, "ENODEV")) return false;
      throw error;
    }
  }

  /** Addresses of a family. */
  addresses(family: IpFamily = 4): PlacedAddress[] {
    const answers = this.#socket.request(addressesRequest(family));
    return answers.flatMap(({ body }) => parseAddress(body, family) ?? []);
  }

  addAddress(index: number, address: LinkAddress): void {
    this.#socket.request(addAddressRequest(index, address));
  }

  deleteAddress(index: number, address: LinkAddress): void {
    this.#socket.request(deleteAddressRequest(index, address));
  }

  /** By a gateway, whose text says the family; or straight out of a device, of the family `onLink`. */
  addDefaultRoute(gateway: string, index: number, onLink: IpFamily = 4): void {
    this.#socket.request(defaultRouteRequest("add", { gateway, index, onLink }));
  }

  /** As {@link addDefaultRoute}. Throws `notFound` when there is none such. */
  deleteDefaultRoute(gateway: string, index: number, onLink: IpFamily = 4): void {
    this.#socket.request(defaultRouteRequest("delete", { gateway, index, onLink }));
  }

  /** Routes of the main table. */
  routes(family: IpFamily = 4): Route[] {
    const answers = this.#socket.request(routesRequest(family));
    return answers.flatMap(({ body }) => parseRoute(body, family) ?? []);
  }
}
