/** The files by which a container's programs find names: /etc/resolv.conf and /etc/hosts. */
import { readFileSync } from "node:fs";
import { isIP, isIPv6 } from "node:net";
import { invalidArgument } from "../base/errors.ts";

export interface ResolvConfOptions {
  /** Name servers in place of the host's. */
  readonly dns: readonly string[];
  /** Search domains in place of the host's; a single `.` for none. */
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  /** The container has IPv6: servers that only have it can be asked. */
  readonly hasIpv6?: boolean;
}

export interface HostsOptions {
  readonly hostname: string;
  readonly domainname: string;
  /** The container's own addresses; empty without a network. */
  readonly addresses: readonly string[];
  /** `name:address`, as the API takes them; the address may be `host-gateway`. */
  readonly extraHosts: readonly string[];
  /** What `host-gateway` stands for, of each family; none when there is no bridge. */
  readonly hostGateways: readonly string[];
  /** Linked containers, each with all its names. */
  readonly links?: readonly { readonly address: string; readonly names: string }[];
}

/** Used when the host has no name server that a container can reach. */
const publicServers = ["8.8.8.8", "8.8.4.4"];
const resolvedStub = "127.0.0.53";

const isLoopback = (server: string): boolean =>
  server.startsWith("127.") || server === "::1" || server.toLowerCase().startsWith("::ffff:127.");

interface ResolvConf {
  readonly servers: string[];
  search: string[];
  readonly options: string[];
  /** Lines of other keywords (`sortlist`). */
  readonly others: string[];
}

/** Reads resolv.conf(5). Of several `search` or `domain` lines the last counts; `options` lines add up. */
function parse(text: string): ResolvConf {
  const found: ResolvConf = { servers: [], search: [], options: [], others: [] };
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    const [keyword = "", ...words] = line.split(/\s+/);
    if (keyword === "nameserver") found.servers.push(...words.slice(0, 1));
    else if (keyword === "search" || keyword === "domain") found.search = words;
    else if (keyword === "options") found.options.push(...words);
    else found.others.push(line);
  }
  return found;
}

/** True when the host's only name server is systemd-resolved's stub, which listens on the host's loopback device. */
export function pointsAtResolvedStub(resolvConf: string): boolean {
  const { servers } = parse(resolvConf);
  return servers.length === 1 && servers[0] === resolvedStub;
}

/** The host's /etc/resolv.conf, or the one with the real servers when that names only systemd-resolved's stub. */
export function readHostResolvConf(
  path = "/etc/resolv.conf",
  resolvedPath = "/run/systemd/resolve/resolv.conf",
): string {
  const text = readResolvConf(path);
  return pointsAtResolvedStub(text) ? readResolvConf(resolvedPath, text) : text;
}

/** The text of a resolv.conf(5); `fallback` when there is none. */
export function readResolvConf(path: string, fallback = ""): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return fallback;
  }
}

/** The host's own name servers, as they are: those on its loopback device too. Public ones when it names none. */
export function hostNameServers(resolvConf: string): readonly string[] {
  const servers = parse(resolvConf).servers.filter((server) => isIP(server.split("%")[0] ?? "") !== 0);
  return servers.length > 0 ? servers : publicServers;
}

/** Throws `invalidArgument` for a server that is no address. */
function checkServers(servers: readonly string[]): void {
  for (const server of servers)
    if (isIP(server.split("%")[0] ?? "") === 0) throw invalidArgument(`${server} is not an ip address`);
}

/** True when the options set `ndots` above 0. */
export function setsNdots(options: readonly string[]): boolean {
  return options.some((option) => Number(/^ndots:(\d+)$/.exec(option)?.[1] ?? 0) > 0);
}

/**
 * /etc/resolv.conf of a container on a network of a user's: the name server that the engine keeps in its namespace, the
 * host's search domains and options unless others are given, and names without a dot asked for as they are.
 */
export function internalResolvConf(
  hostResolvConf: string,
  server: string,
  options: ResolvConfOptions,
): string {
  checkServers(options.dns);
  const host = parse(hostResolvConf);
  const search = options.dnsSearch.length === 0 ? host.search : options.dnsSearch;
  const words = options.dnsOptions.length === 0 ? host.options : options.dnsOptions;
  const hasNdots = words.some((word) => word.startsWith("ndots:"));
  return written([server], search, hasNdots ? words : [...words, "ndots:0"], []);
}

/** A single `.` stands for no search domain. */
function written(
  servers: readonly string[],
  search: readonly string[],
  options: readonly string[],
  others: readonly string[],
): string {
  const lines = servers.map((server) => `nameserver ${server}`);
  if (search.length > 0 && !(search.length === 1 && search[0] === "."))
    lines.push(`search ${search.join(" ")}`);
  if (options.length > 0) lines.push(`options ${options.join(" ")}`);
  return `${[...lines, ...others].join("\n")}\n`;
}

/**
 * /etc/resolv.conf of a container on the default bridge: the host's, with the given servers, domains and options in
 * place of its own. Of the host's servers, those on loopback addresses and, without IPv6, those of IPv6 cannot be reached from there; with
 * none left, public ones are named. Throws `invalidArgument` for a server that is no address.
 */
export function resolvConfFor(hostResolvConf: string, options: ResolvConfOptions): string {
  const host = parse(hostResolvConf);
  checkServers(options.dns);
  let servers = [...options.dns];
  if (servers.length === 0) {
    const isReached = (server: string): boolean =>
      !isLoopback(server) &&
      (options.hasIpv6 === true ? !server.includes("%") : !isIPv6(server.split("%")[0] ?? ""));
    servers = host.servers.filter(isReached);
    if (servers.length === 0) servers = publicServers;
  }
  const search = options.dnsSearch.length === 0 ? host.search : options.dnsSearch;
  const words = options.dnsOptions.length === 0 ? host.options : options.dnsOptions;
  return written(servers, search, words, host.others);
}

/**
 * Splits `name:address` (`name=address` too). Throws `invalidArgument` with Docker's words for anything else, and for
 * `host-gateway` where there is no gateway.
 */
export function parseExtraHost(
  entry: string,
  hostGateways: readonly string[],
): { name: string; addresses: readonly string[] } {
  const separator = /[:=]/.exec(entry)?.index ?? -1;
  const name = entry.slice(0, Math.max(separator, 0));
  const written = entry.slice(separator + 1).replace(/^\[(.*)\]$/, "$1");
  if (separator < 1 || written === "" || /\s/.test(name))
    throw invalidArgument(`bad format for add-host: "${entry}"`);
  if (written === "host-gateway") {
    if (hostGateways.length === 0)
      throw invalidArgument("unable to derive the IP value for host-gateway", {
        hint: "the default bridge is disabled: give an address instead",
      });
    return { name, addresses: hostGateways };
  }
  if (isIP(written) === 0) throw invalidArgument(`invalid IP address in add-host: "${written}"`);
  return { name, addresses: [written] };
}

/** /etc/hosts of a container with a network namespace of its own. */
export function hostsFileFor(options: HostsOptions): string {
  const lines = [
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::\tip6-localnet",
    "ff00::\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
  ];
  for (const entry of options.extraHosts) {
    const { name, addresses } = parseExtraHost(entry, options.hostGateways);
    for (const address of addresses) lines.push(`${address}\t${name}`);
  }
  for (const { address, names } of options.links ?? []) lines.push(`${address}\t${names}`);
  const names = ownNames(options);
  for (const address of options.addresses) lines.push(`${address}\t${names}`);
  return `${lines.join("\n")}\n`;
}

type OwnNames = Pick<HostsOptions, "hostname" | "domainname">;

/** `hostname.domain hostname`, or the hostname alone. */
function ownNames({ hostname, domainname }: OwnNames): string {
  const full = domainname === "" ? hostname : `${hostname}.${domainname}`;
  const short = full.split(".")[0] ?? full;
  return full === short ? full : `${full} ${short}`;
}

/** The text of /etc/hosts with exactly these addresses for the container's own name; other lines stay. */
export function withOwnAddresses(
  text: string,
  options: OwnNames & { readonly addresses: readonly string[] },
): string {
  const names = ownNames(options);
  return withAddressesFor(text, names, options.addresses);
}

/** The text of /etc/hosts with exactly these addresses for `names`, in the form in which such lines are written here. */
export function withAddressesFor(text: string, names: string, addresses: readonly string[]): string {
  const lines = text.split("\n");
  const isOurs = (line: string): boolean =>
    line.endsWith(`\t${names}`) && isIP(line.split("\t")[0] ?? "") !== 0;
  const kept = lines.filter((line) => !isOurs(line) || addresses.includes(line.split("\t")[0] ?? ""));
  const missing = addresses.map((address) => `${address}\t${names}`).filter((line) => !kept.includes(line));
  const end = kept.at(-1) === "" ? kept.length - 1 : kept.length;
  return [...kept.slice(0, end), ...missing, ...kept.slice(end)].join("\n");
}
