/**
 * The firewall of all bridges of a daemon as nftables text (nft(8)). Pure. What differs from bridge to bridge and from
 * port to port is an element of a set or a map, so that a packet costs a few look-ups however many there are, and a
 * change is a handful of elements in one transaction.
 */
import type { FirewallMark } from "./network-config.ts";
import type { PublishedPort } from "./network.ts";

/** By number (IANA): libnftables looks names up in /etc/protocols, which small systems and images have not. */
const protocolNumbers = { tcp: 6, udp: 17, sctp: 132, icmp: 1, icmpv6: 58 } as const;
const protocolList = [protocolNumbers.tcp, protocolNumbers.udp, protocolNumbers.sctp].join(", ");

/** What holds for all bridges of a daemon. */
export interface FirewallOptions {
  /** Families whose packets are looked at; those of the other pass as if there were no rules. */
  readonly families: { readonly ipv4: boolean; readonly ipv6: boolean };
  /** Marked packets go into every bridge that is not internal. */
  readonly acceptMark: FirewallMark | undefined;
  /** Published ports are open at containers' own addresses, too. */
  readonly allowDirectRouting: boolean;
}

/** A way from one container to another's port on a bridge whose containers do not reach each other otherwise. */
export interface LinkPath {
  readonly from: string;
  readonly to: string;
  readonly protocol: PublishedPort["protocol"];
  readonly port: number;
}

/** How one bridge's packets are dealt with. */
export interface BridgeRules {
  readonly name: string;
  /** Subnets of its network, `172.17.0.0/16`, `fd00::/64`. */
  readonly subnets: readonly string[];
  /** Containers may talk to each other. */
  readonly icc: boolean;
  /** Nothing goes out, nothing comes in. */
  readonly internal: boolean;
  /** Subnets whose packets leave the host with the host's address. */
  readonly masquerade: readonly string[];
  /** Source addresses for what leaves the host, by subnet, in place of the outgoing device's. */
  readonly sourceAddresses: readonly { readonly subnet: string; readonly address: string }[];
  /** From outside every port of its containers may be reached, not only published ones. */
  readonly open: { readonly ipv4: boolean; readonly ipv6: boolean };
  /** Containers have addresses that others know: ICMP passes, published ports are open and not translated. */
  readonly routed: { readonly ipv4: boolean; readonly ipv6: boolean };
  /** Devices of the host from which every port may be reached. */
  readonly trusted: readonly string[];
}

/**
 * A published port and the container's address that it leads to, of the same family. Where the two addresses are the same, the port is open
 * and nothing is translated: the network's addresses are known outside.
 */
export interface PortForward extends PublishedPort {
  readonly containerAddress: string;
}

/**
 * One table a daemon, named by its default bridge, or by `tag` where it has none: two daemons never meet in one.
 */
export function tableName(bridge: string, tag: string): string {
  if (bridge === "none") return `gantry-${tag}`;
  return bridge === "gantry0" ? "gantry" : `gantry-${bridge}`;
}

const familyOf = (subnet: string): "4" | "6" => (subnet.includes(":") ? "6" : "4");

/** An element of a set or map. */
export interface SetElement {
  readonly set: string;
  readonly key: string;
  /** Of a map. */
  readonly value?: string;
}

const element = (set: string, key: string): SetElement => ({ set, key });

/** What opens published ports at containers' own addresses; the same element for all ports that lead to one place. */
export function directElements(forwards: readonly PortForward[]): SetElement[] {
  return forwards
    .filter(({ hostIp, containerAddress }) => hostIp !== containerAddress)
    .map(({ containerAddress, protocol, containerPort }) =>
      element(
        `direct${familyOf(containerAddress)}`,
        `${containerAddress} . ${protocolNumbers[protocol]} . ${containerPort}`,
      ),
    );
}

export function linkElements(paths: readonly LinkPath[]): SetElement[] {
  return paths.map(({ from, to, protocol, port }) =>
    element("links4", `${from} . ${to} . ${protocolNumbers[protocol]} . ${port}`),
  );
}

/** Commands that add or delete elements. */
export function changeElements(
  verb: "add" | "delete",
  table: string,
  elements: readonly SetElement[],
): string {
  return elements
    .map(({ set, key, value }) => {
      const mapped = verb === "add" && value !== undefined ? ` : ${value}` : "";
      return `${verb} element inet ${table} ${set} { ${key}${mapped} }`;
    })
    .join("\n");
}

function forwardElement(forward: PortForward): SetElement {
  const { protocol, hostIp, hostPort } = forward;
  if (hostIp === forward.containerAddress)
    return {
      set: `exposed${familyOf(hostIp)}`,
      key: `${hostIp} . ${protocolNumbers[protocol]} . ${hostPort}`,
    };
  const isAny = hostIp === "0.0.0.0" || hostIp === "::";
  return {
    set: `${isAny ? "ports" : "address_ports"}${familyOf(hostIp)}`,
    key: `${isAny ? "" : `${hostIp} . `}${protocolNumbers[protocol]} . ${hostPort}`,
    value: `${forward.containerAddress} . ${forward.containerPort}`,
  };
}

/** Commands that add or delete the map elements of `forwards`. */
export function changeForwards(
  verb: "add" | "delete",
  table: string,
  forwards: readonly PortForward[],
): string {
  return changeElements(verb, table, forwards.map(forwardElement));
}

/** The elements of one bridge: set or map, key, and the value of a map's. */
function bridgeElements(bridge: BridgeRules): SetElement[] {
  const device = `"${bridge.name}"`;
  const found: [string, string, string?][] = [
    ["bridges", device],
    // Without icc the bridge's own frames fall through to the drop of what goes into a bridge.
    ["own", `${device} . ${device}`, bridge.icc ? "accept" : "continue"],
  ];
  if (bridge.internal) found.push(["internal", device]);
  if (bridge.open.ipv4) found.push(["open4", device]);
  if (bridge.open.ipv6) found.push(["open6", device]);
  if (bridge.routed.ipv4) found.push(["routed4", device]);
  if (bridge.routed.ipv6) found.push(["routed6", device]);
  for (const trusted of bridge.trusted) found.push(["trusted", `"${trusted}" . ${device}`]);
  for (const subnet of bridge.subnets) found.push([`subnets${familyOf(subnet)}`, subnet]);
  for (const subnet of bridge.masquerade) found.push([`masquerade${familyOf(subnet)}`, subnet]);
  for (const { subnet, address } of bridge.sourceAddresses)
    found.push([`source${familyOf(subnet)}`, subnet, address]);
  return found.map(([set, key, value]) => (value === undefined ? { set, key } : { set, key, value }));
}

/** Commands that add or delete a bridge. */
export function changeBridge(verb: "add" | "delete", table: string, bridge: BridgeRules): string {
  return changeElements(verb, table, bridgeElements(bridge));
}

export interface TableParts {
  readonly options: FirewallOptions;
  readonly bridges: readonly BridgeRules[];
  readonly forwards: readonly PortForward[];
  /** Others, each once. */
  readonly elements: readonly SetElement[];
  readonly userRules: readonly string[];
}

function chain(name: string, rules: readonly string[]): string {
  return `\n  chain ${name} {\n${rules.map((rule) => `    ${rule}\n`).join("")}  }`;
}

/** Before the rules of each chain at a hook: the packets of a family that is not looked at pass. */
function unservedFamilies({ families }: FirewallOptions): string[] {
  return [
    ...(families.ipv4 ? [] : ["meta nfproto ipv4 accept"]),
    ...(families.ipv6 ? [] : ["meta nfproto ipv6 accept"]),
  ];
}

/** Sets and maps that hold addresses are there for each family. */
function familySets(family: "4" | "6"): string {
  const type = `ipv${family}_addr`;
  return `
  set subnets${family} { type ${type}; flags interval; }
  set masquerade${family} { type ${type}; flags interval; }
  map source${family} { type ${type} : ${type}; flags interval; }
  set direct${family} { type ${type} . inet_proto . inet_service; }
  set exposed${family} { type ${type} . inet_proto . inet_service; }
  map ports${family} { type inet_proto . inet_service : ${type} . inet_service; }
  map address_ports${family} { type ${type} . inet_proto . inet_service : ${type} . inet_service; }
  set open${family} { type ifname; }
  set routed${family} { type ifname; }`;
}

/** What goes to a published port of this host is sent to the container. */
function translations(family: "4" | "6"): string[] {
  const ip = family === "4" ? "ip" : "ip6";
  // The kernel takes answers for ::1 from the loopback device alone: the held socket serves it.
  const notLoopback = family === "6" ? "ip6 daddr != ::1 " : "";
  const toHost = `meta nfproto ipv${family} ${notLoopback}fib daddr type local meta l4proto { ${protocolList} }`;
  return [
    `${toHost} dnat ${ip} to ${ip} daddr . meta l4proto . th dport map @address_ports${family}`,
    `${toHost} dnat ${ip} to meta l4proto . th dport map @ports${family}`,
  ];
}

/**
 * Into a bridge goes only what belongs to a connection, comes from the same bridge, or was translated by a published
 * port, so that networks do not see each other and containers' own addresses are no way in. An internal bridge has no
 * way in or out at all. Between containers of a bridge without icc there are the ways of links.
 */
function forwardRules({ acceptMark, allowDirectRouting }: FirewallOptions): string[] {
  return [
    "jump user",
    "oifname @bridges ct state established,related accept",
    "iifname . oifname vmap @own",
    "iifname @bridges oifname @bridges ip saddr . ip daddr . meta l4proto . th dport @links4 accept",
    "iifname @internal drop",
    "oifname @internal drop",
    "oifname @bridges ct status dnat accept",
    ...(acceptMark === undefined
      ? []
      : [`oifname @bridges meta mark & ${acceptMark.mask} == ${acceptMark.mark} accept`]),
    ...(allowDirectRouting
      ? [
          "oifname @bridges ip daddr . meta l4proto . th dport @direct4 accept",
          "oifname @bridges ip6 daddr . meta l4proto . th dport @direct6 accept",
        ]
      : []),
    "iifname . oifname @trusted accept",
    "iifname != @bridges meta nfproto ipv4 oifname @open4 accept",
    "iifname != @bridges meta nfproto ipv6 oifname @open6 accept",
    "oifname @routed4 ip daddr . meta l4proto . th dport @exposed4 accept",
    "oifname @routed6 ip6 daddr . meta l4proto . th dport @exposed6 accept",
    `oifname @routed4 meta l4proto ${protocolNumbers.icmp} accept`,
    `oifname @routed6 meta l4proto ${protocolNumbers.icmpv6} accept`,
    "oifname @bridges drop",
    "iifname @bridges accept",
  ];
}

/**
 * The host's address for what goes out of a subnet, for what goes through a published port into any of them (the answer
 * must come back here to be translated), and for what comes from the host's loopback addresses.
 */
const postroutingRules = [
  "oifname != @bridges snat ip to ip saddr map @source4",
  "oifname != @bridges snat ip6 to ip6 saddr map @source6",
  "ip saddr @masquerade4 oifname != @bridges masquerade",
  "ip6 saddr @masquerade6 oifname != @bridges masquerade",
  "ip saddr @subnets4 oifname @bridges ct status dnat masquerade",
  "ip6 saddr @subnets6 oifname @bridges ct status dnat masquerade",
  "ip saddr 127.0.0.0/8 oifname @bridges masquerade",
];

/**
 * The whole table, in place of the one that may be there.
 *
 * - `guard`: nothing that comes by a wire is for 127.0.0.0/8. Without it `route_localnet` on the bridges would open the
 *   host's loopback services to containers (CVE-2020-8558), and a port published on 127.0.0.1 would be translated before
 *   the kernel looks at where the packet came from. Translated answers still have their outer address here.
 * - `user`: the administrator's own rules, before all others for what is forwarded.
 */
export function wholeTable(
  table: string,
  { options, bridges, forwards, elements, userRules }: TableParts,
): string {
  const atHook = (name: string, hook: string, rules: readonly string[]): string =>
    chain(name, [`type ${hook}; policy accept;`, ...unservedFamilies(options), ...rules]);
  const translate = [...translations("4"), ...translations("6")];
  const chains = [
    atHook("guard", "filter hook prerouting priority raw", ['iifname != "lo" ip daddr 127.0.0.0/8 drop']),
    atHook("prerouting", "nat hook prerouting priority dstnat", translate),
    atHook("output", "nat hook output priority -100", translate),
    chain("user", userRules),
    atHook("forward", "filter hook forward priority filter", forwardRules(options)),
    atHook("postrouting", "nat hook postrouting priority srcnat", postroutingRules),
  ];
  return `table inet ${table} { }
delete table inet ${table}
table inet ${table} {
  set bridges { type ifname; }
  set internal { type ifname; }
  set trusted { type ifname . ifname; }
  set links4 { type ipv4_addr . ipv4_addr . inet_proto . inet_service; }
  map own { type ifname . ifname : verdict; }${familySets("4")}${familySets("6")}${chains.join("")}
}
${bridges.map((bridge) => changeBridge("add", table, bridge)).join("\n")}
${changeForwards("add", table, forwards)}
${changeElements("add", table, elements)}
`;
}
