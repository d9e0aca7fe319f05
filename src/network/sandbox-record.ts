/** What can be read from a sandbox's record. */
import { inNetns } from "../linux/netns.ts";
import type { SandboxRecord } from "./records.ts";
import type { PortForward } from "./ruleset.ts";

/** False when the file is gone or nothing is bound to it, as after a reboot. */
export function isNamespace(path: string): boolean {
  try {
    inNetns(path, () => {});
    return true;
  } catch {
    return false;
  }
}

export function addressOf({ endpoints }: SandboxRecord): string {
  return endpoints.find(({ ipv4Address }) => ipv4Address !== "")?.ipv4Address ?? "";
}

/** IPv6 host addresses are served by the held sockets alone. */
export function forwardsOf(record: SandboxRecord): PortForward[] {
  const containerAddress = addressOf(record);
  return record.ports
    .filter(({ hostIp }) => !hostIp.includes(":"))
    .map((port) => ({ ...port, containerAddress }));
}

/** The record of a container that has another name now. */
export function withName(record: SandboxRecord, name: string): SandboxRecord {
  const endpoints = record.endpoints.map((endpoint) => ({
    ...endpoint,
    dnsNames: endpoint.dnsNames.map((known) => (known === record.containerName ? name : known)),
  }));
  return { ...record, containerName: name, endpoints };
}
