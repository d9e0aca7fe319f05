/**
 * UDP flows go on as they began for as long as packets come: those from before a port was published, and those to the
 * container that had it before, are forgotten, so that the next packet is looked at anew.
 */
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { forgetUdpFlows, type UdpFlow } from "../linux/conntrack.ts";
import { RouteSocket } from "../linux/rtnetlink.ts";
import type { PortForward } from "./ruleset.ts";

function forget(isStale: (flow: UdpFlow) => boolean): void {
  try {
    forgetUdpFlows(isStale);
  } catch (error) {
    log.warn("stale UDP flows could not be forgotten", { error: errorText(error) });
  }
}

const udpOnly = (forwards: readonly PortForward[]): PortForward[] =>
  forwards.filter(({ protocol }) => protocol === "udp");

/** Forgets the flows to the host's own addresses at these published ports. */
export function forgetFlowsTo(forwards: readonly PortForward[]): void {
  const udp = udpOnly(forwards);
  if (udp.length === 0) return;
  using host = RouteSocket.open();
  const own = new Set(host.addresses().map(({ address }) => address));
  const isOwn = (address: string): boolean => own.has(address) || address.startsWith("127.");
  forget(({ destination, destinationPort }) =>
    udp.some(
      ({ hostIp, hostPort }) =>
        hostPort === destinationPort && (hostIp === "0.0.0.0" ? isOwn(destination) : hostIp === destination),
    ),
  );
}

/** Forgets the flows that a container which had these ports answered. */
export function forgetFlowsFrom(forwards: readonly PortForward[], containerAddress: string): void {
  if (udpOnly(forwards).length > 0) forget(({ replySource }) => replySource === containerAddress);
}
