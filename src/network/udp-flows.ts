/**
 * UDP flows go on as they began for as long as packets come: those from before a port was published, and those to the
 * container that had it before, are forgotten, so that the next packet is looked at anew.
 */
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { forgetUdpFlows, type UdpFlow } from "../linux/conntrack.ts";
import { RouteSocket } from "../linux/rtnetlink.ts";
import { parseReverseName, reverseName } from "./dns-names.ts";
import type { PortForward } from "./ruleset.ts";

function forget(isStale: (flow: UdpFlow) => boolean): void {
  try {
    forgetUdpFlows(isStale);
  } catch (error) {
    log.warn("stale UDP flows could not be forgotten", { error: errorText(error) });
  }
}

/** ::1 in the form in which the kernel's table is read. */
const loopback6 = "0000:0000:0000:0000:0000:0000:0000:0001";

const isAny = (address: string): boolean => address === "0.0.0.0" || address === "::";

/** All eight groups with four digits each. */
const fullIpv6 = (address: string): string => parseReverseName(reverseName(address))!;

/** IPv6 has many ways to write one address. */
function sameAddress(one: string, other: string): boolean {
  if (one === other) return true;
  return one.includes(":") && other.includes(":") && reverseName(one) === reverseName(other);
}

const udpOnly = (forwards: readonly PortForward[]): PortForward[] =>
  forwards.filter(({ protocol }) => protocol === "udp");

/** Forgets the flows to the host's own addresses at these published ports. */
export function forgetFlowsTo(forwards: readonly PortForward[]): void {
  const udp = udpOnly(forwards);
  if (udp.length === 0) return;
  using host = RouteSocket.open();
  const own = new Set(
    host.addresses().map(({ address }) => (address.includes(":") ? fullIpv6(address) : address)),
  );
  const isOwn = (address: string): boolean =>
    own.has(address) || address.startsWith("127.") || address === loopback6;
  forget(({ destination, destinationPort }) =>
    udp.some(({ hostIp, hostPort }) => {
      if (hostPort !== destinationPort || hostIp.includes(":") !== destination.includes(":")) return false;
      return isAny(hostIp) ? isOwn(destination) : sameAddress(hostIp, destination);
    }),
  );
}

/** Forgets the flows that a container which had these ports answered. */
export function forgetFlowsFrom(forwards: readonly PortForward[]): void {
  const addresses = new Set(udpOnly(forwards).map(({ containerAddress }) => containerAddress));
  if (addresses.size === 0) return;
  forget(({ replySource }) => [...addresses].some((address) => sameAddress(address, replySource)));
}
