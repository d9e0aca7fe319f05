import { copyFileSync, writeFileSync } from "node:fs";
import { hostname as osHostname } from "node:os";
import type { ContainerRecord } from "../container/container.ts";
import type { Sandbox } from "../network/network.ts";
import { hostsFileFor, readHostResolvConf, resolvConfFor } from "../network/name-files.ts";
import type { EngineContext } from "./context.ts";
import { networkOwner } from "./container-sandbox.ts";
import { type ContainerPaths, containerPaths } from "./paths.ts";

/**
 * The container's hostname, hosts and resolv.conf; those of the container whose network it shares, where it does: Docker
 * lets both have the same files.
 */
export function nameFilePaths(
  context: EngineContext,
  container: ContainerRecord,
): Pick<ContainerPaths, "hosts" | "hostname" | "resolvConf"> {
  const owner = networkOwner(context, container);
  if (owner !== undefined) return nameFilePaths(context, owner);
  const { hosts, hostname, resolvConf } = containerPaths(context.config, container.id);
  return { hosts, hostname, resolvConf };
}

/** Writes the container's hostname, hosts and resolv.conf before each start; they are bound over the image's. */
export function writeNetworkFiles(
  context: EngineContext,
  container: ContainerRecord,
  sandbox: Sandbox | undefined,
): void {
  if (networkOwner(context, container) !== undefined) return;
  const paths = containerPaths(context.config, container.id);
  const { hostConfig, config } = container;
  const isHost = hostConfig.NetworkMode === "host";
  writeFileSync(paths.hostname, `${config.Hostname || osHostname()}\n`);
  const first = sandbox?.endpoints[0];
  if (isHost && (hostConfig.ExtraHosts ?? []).length === 0) copyOrEmpty("/etc/hosts", paths.hosts);
  else
    writeFileSync(
      paths.hosts,
      hostsFileFor({
        addresses: sandbox?.endpoints.map((endpoint) => endpoint.ipv4Address).filter((a) => a !== "") ?? [],
        hostname: config.Hostname ?? "",
        domainname: config.Domainname ?? "",
        extraHosts: hostConfig.ExtraHosts ?? [],
        hostGateway: first?.ipv4Gateway ?? "",
      }),
    );
  const settings = {
    dns: orDefault(hostConfig.Dns, context.config.dns),
    dnsSearch: orDefault(hostConfig.DnsSearch, context.config.dnsSearch),
    dnsOptions: orDefault(hostConfig.DnsOptions, context.config.dnsOptions),
  };
  const isPlainHost = isHost && Object.values(settings).every((list) => list.length === 0);
  if (isPlainHost) copyOrEmpty("/etc/resolv.conf", paths.resolvConf);
  else writeFileSync(paths.resolvConf, resolvConfFor(readHostResolvConf(), settings));
}

function orDefault(
  asked: readonly string[] | null | undefined,
  fallback: readonly string[],
): readonly string[] {
  return asked !== null && asked !== undefined && asked.length > 0 ? asked : fallback;
}

function copyOrEmpty(from: string, to: string): void {
  try {
    copyFileSync(from, to);
  } catch {
    writeFileSync(to, "");
  }
}
