import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { hostname as osHostname } from "node:os";
import { isKind } from "../base/errors.ts";
import type { ContainerRecord } from "../container/container.ts";
import type { Sandbox } from "../network/network.ts";
import { nameServerAddress } from "../network/dns-listener.ts";
import {
  hostsFileFor,
  internalResolvConf,
  readHostResolvConf,
  readResolvConf,
  resolvConfFor,
  type ResolvConfOptions,
  withAddressesFor,
  withOwnAddresses,
} from "../network/name-files.ts";
import type { EngineContext } from "./context.ts";
import { findNetwork, networkOwner } from "./container-sandbox.ts";
import { linkHosts, linkingContainers } from "./links.ts";
import { type ContainerPaths, containerPaths } from "./paths.ts";

/**
 * The container's hostname, hosts and resolv.conf; those of the container whose network it shares, where it does: Docker
 * lets both have the same files.
 */
export function nameFilePaths(
  context: EngineContext,
  container: ContainerRecord,
): Pick<ContainerPaths, "hosts" | "hostname" | "resolvConf"> {
  const owner = networkOwner(context, container) ?? container;
  const { hosts, hostname, resolvConf } = containerPaths(context.config, owner.id);
  return { hosts, hostname, resolvConf };
}

/** As {@link nameFilePaths}; empty where the container that has them is gone. */
export function knownNameFilePaths(
  context: EngineContext,
  container: ContainerRecord,
): ReturnType<typeof nameFilePaths> {
  try {
    return nameFilePaths(context, container);
  } catch (error) {
    if (!isKind(error, "notFound", "invalidArgument", "conflict")) throw error;
    return { hosts: "", hostname: "", resolvConf: "" };
  }
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
  if (isHost && (hostConfig.ExtraHosts ?? []).length === 0) copyOrEmpty("/etc/hosts", paths.hosts);
  else
    writeFileSync(
      paths.hosts,
      hostsFileFor({
        addresses: addressesOf(sandbox),
        hostname: config.Hostname ?? "",
        domainname: config.Domainname ?? "",
        extraHosts: hostConfig.ExtraHosts ?? [],
        hostGateways: hostGateways(context),
        links: linkHosts(context, container),
      }),
    );
  const settings = resolverSettings(context, container);
  const isPlainHost = isHost && Object.values(settings).every((list) => list.length === 0);
  if (isPlainHost) copyOrEmpty("/etc/resolv.conf", paths.resolvConf);
  else writeFileSync(paths.resolvConf, resolvConfOf(context, sandbox, settings));
}

/**
 * Lets the files of a running container follow its networks: its own addresses, and the name server when it has come to
 * the first network that has one. What its user wrote into them stays.
 */
export function updateNetworkFiles(context: EngineContext, sandbox: Sandbox): void {
  const container = context.containers.byId(sandbox.containerId);
  if (container === undefined) return;
  const { hosts, resolvConf } = containerPaths(context.config, container.id);
  const { Hostname: hostname = "", Domainname: domainname = "" } = container.config;
  rewrite(hosts, (text) => withOwnAddresses(text, { addresses: addressesOf(sandbox), hostname, domainname }));
  const settings = resolverSettings(context, container);
  const before = [true, false].map((has) =>
    resolvConfFor(readHostResolvConf(), { ...settings, hasIpv6: has }),
  );
  rewrite(resolvConf, (text) => (before.includes(text) ? resolvConfOf(context, sandbox, settings) : text));
}

/** Lets the hosts files of those that are linked to a container follow its address: it has perhaps been started anew. */
export function updateLinkedFiles(context: EngineContext, sandbox: Sandbox): void {
  for (const { parent, host } of linkingContainers(context, sandbox.containerId))
    if (host.address !== "")
      rewrite(containerPaths(context.config, parent.id).hosts, (text) =>
        withAddressesFor(text, host.names, [host.address]),
      );
}

/** Changes a file in its place: it is bound into the container, where another file of the same name would not be seen. */
function rewrite(path: string, change: (text: string) => string): void {
  const before = readFileSync(path, "utf8");
  const after = change(before);
  if (after !== before) writeFileSync(path, after);
}

function addressesOf(sandbox: Sandbox | undefined): string[] {
  return (sandbox?.endpoints ?? [])
    .flatMap(({ ipv4Address, ipv6Address }) => [ipv4Address, ipv6Address])
    .filter((address) => address !== "");
}

/**
 * What the daemon's options say, else the default bridge's addresses on the host, on whatever networks the container is.
 * None without a default bridge.
 */
export function hostGateways(context: EngineContext): readonly string[] {
  if (context.config.hostGatewayIps.length > 0) return context.config.hostGatewayIps;
  if (findNetwork(context, "bridge") === undefined) return [];
  const { IPAM } = context.network.inspect("bridge");
  return (IPAM.Config ?? []).flatMap(({ Gateway }) => (Gateway === undefined ? [] : [Gateway]));
}

function resolverSettings(context: EngineContext, { hostConfig }: ContainerRecord): ResolvConfOptions {
  return {
    dns: orDefault(hostConfig.Dns, context.config.dns),
    dnsSearch: orDefault(hostConfig.DnsSearch, context.config.dnsSearch),
    dnsOptions: orDefault(hostConfig.DnsOptions, context.config.dnsOptions),
  };
}

/** On a network of a user's the container has a name server of its own. */
function resolvConfOf(
  context: EngineContext,
  sandbox: Sandbox | undefined,
  settings: ResolvConfOptions,
): string {
  const hasNames = sandbox?.endpoints.some(({ networkId }) => context.network.find(networkId).isUserDefined);
  return hasNames === true
    ? internalResolvConf(readResolvConf("/etc/resolv.conf"), nameServerAddress, settings)
    : resolvConfFor(readHostResolvConf(), { ...settings, hasIpv6: hasIpv6(sandbox) });
}

function hasIpv6(sandbox: Sandbox | undefined): boolean {
  return sandbox?.endpoints.some(({ ipv6Address }) => ipv6Address !== "") === true;
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
