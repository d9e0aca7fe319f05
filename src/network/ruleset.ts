/**
 * The firewall of one bridge as nftables text (nft(8)). Pure. Published ports are elements of two maps, so that a packet
 * costs one look-up however many there are.
 */
import type { PublishedPort } from "./network.ts";

export interface RulesetOptions {
  readonly table: string;
  readonly bridge: string;
  /** `172.17.0.0/16` */
  readonly subnet: string;
  /** Containers may talk to each other. */
  readonly icc: boolean;
}

/** A published IPv4 port and the container's address that it leads to. */
export interface PortForward extends PublishedPort {
  readonly containerAddress: string;
}

/** One table a bridge: two daemons, each with its own bridge, never meet in one. */
export function tableName(bridge: string): string {
  return bridge === "gantry0" ? "gantry" : `gantry-${bridge}`;
}

function element(forward: PortForward): { map: string; key: string; value: string } {
  const { protocol, hostIp, hostPort } = forward;
  const isAny = hostIp === "0.0.0.0";
  return {
    map: isAny ? "ports" : "address_ports",
    key: `${isAny ? "" : `${hostIp} . `}${protocol} . ${hostPort}`,
    value: `${forward.containerAddress} . ${forward.containerPort}`,
  };
}

/** Commands that add (`create`: fails when it is there) or delete the map elements of `forwards`. */
export function changeForwards(
  verb: "add" | "delete",
  table: string,
  forwards: readonly PortForward[],
): string {
  return forwards
    .map((forward) => {
      const { map, key, value } = element(forward);
      return `${verb} element ip ${table} ${map} { ${key}${verb === "add" ? ` : ${value}` : ""} }`;
    })
    .join("\n");
}

/**
 * The whole table, in place of the one that may be there.
 *
 * - `guard`: nothing that comes by a wire is for 127.0.0.0/8. Without it `route_localnet` on the bridge would open the
 *   host's loopback services to containers (CVE-2020-8558), and a port published on 127.0.0.1 would be translated before
 *   the kernel looks at where the packet came from. Translated answers still have their outer address here.
 * - `forward`: into the bridge goes only what belongs to a connection or was translated by a published port, so that
 *   containers' own addresses are no way in.
 * - `postrouting`: out of the subnet, through a published port back into it (the answer must come back here to be
 *   translated), and from the host's loopback addresses.
 */
export function wholeTable(options: RulesetOptions, forwards: readonly PortForward[]): string {
  const { table, bridge, subnet, icc } = options;
  const translate = `
    fib daddr type local meta l4proto { tcp, udp, sctp } dnat ip to ip daddr . meta l4proto . th dport map @address_ports
    fib daddr type local meta l4proto { tcp, udp, sctp } dnat ip to meta l4proto . th dport map @ports`;
  return `table ip ${table} { }
delete table ip ${table}
table ip ${table} {
  map ports { type inet_proto . inet_service : ipv4_addr . inet_service; }
  map address_ports { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
  chain guard {
    type filter hook prerouting priority raw; policy accept;
    iifname != "lo" ip daddr 127.0.0.0/8 drop
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;${translate}
  }
  chain output {
    type nat hook output priority -100; policy accept;${translate}
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    oifname "${bridge}" ct state established,related accept
    oifname "${bridge}" ct status dnat accept
    iifname "${bridge}" oifname "${bridge}" ${icc ? "accept" : "drop"}
    iifname "${bridge}" accept
    oifname "${bridge}" drop
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${subnet} oifname != "${bridge}" masquerade
    ip saddr ${subnet} ip daddr ${subnet} ct status dnat masquerade
    ip saddr 127.0.0.0/8 oifname "${bridge}" masquerade
  }
}
${changeForwards("add", table, forwards)}
`;
}
