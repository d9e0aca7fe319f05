/** What a network is to be: reads and checks the body of `POST /networks/create`. Pure; rules and words are Docker's. */
import { EngineError, invalidArgument, notFound } from "../base/errors.ts";
import type { IpamConfig, NetworkCreateRequest } from "../wire/network.ts";
import { AddressPool } from "./address-pool.ts";
import { checkDriverOptions } from "./driver-options.ts";
import {
  type Address,
  formatAddress,
  formatPrefix,
  parseAddress,
  parsePrefix,
  type Prefix,
  prefixContains,
} from "./ip.ts";
import type { NetworkDriver } from "./network.ts";

/** One subnet of a network. */
export interface SubnetDefinition {
  /** `10.1.0.0/24` */
  readonly subnet: string;
  /** Empty for none. */
  readonly gateway: string;
  /** Part of the subnet that containers get their addresses from; empty for all. */
  readonly ipRange: string;
  readonly auxiliaryAddresses: Readonly<Record<string, string>>;
  /** Chosen for a network that came without: no address of it can be asked for. */
  readonly isAutomatic?: boolean;
}

/** What is stored about a network beside its id, name and driver. */
export interface NetworkDefinition {
  readonly enableIPv4: boolean;
  readonly enableIPv6: boolean;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly configOnly: boolean;
  /** Name of the network that the configuration was taken from; empty for none. */
  readonly configFrom: string;
  /** `default`, or `null` for no addresses. */
  readonly ipamDriver: string;
  readonly ipamOptions: Readonly<Record<string, string>>;
  readonly subnets: readonly SubnetDefinition[];
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Of a bridge, its device; of macvlan and ipvlan, the parent. Empty for none. */
  readonly device: string;
  /** False when it was there before: then it stays. */
  readonly isDeviceOurs: boolean;
}

/** What was asked for; addresses may be missing, which the registry of networks chooses. */
export interface CheckedRequest {
  readonly name: string;
  readonly driver: NetworkDriver;
  readonly definition: NetworkDefinition;
}

export const emptyDefinition: NetworkDefinition = {
  enableIPv4: true,
  enableIPv6: false,
  internal: false,
  attachable: false,
  configOnly: false,
  configFrom: "",
  ipamDriver: "default",
  ipamOptions: {},
  subnets: [],
  options: {},
  labels: {},
  device: "",
  isDeviceOurs: false,
};

const notSwarmManager =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

export const forbidden = (message: string, hint?: string): EngineError =>
  new EngineError("permissionDenied", message, hint === undefined ? {} : { hint });

const predefinedNames: ReadonlySet<string> = new Set(["bridge", "host", "none", "default"]);

/**
 * Checks a request. `template` is the configuration of the network that `ConfigFrom` names. Throws `invalidArgument`,
 * `permissionDenied` for predefined names and what a template rules out, `notFound` for a driver that only a plugin has,
 * `unavailable` for what needs a swarm.
 */
export function checkCreateRequest(
  request: NetworkCreateRequest,
  template: NetworkDefinition | undefined,
): CheckedRequest {
  const name = request.Name ?? "";
  if (name.trim() === "") throw invalidArgument("invalid name: name is empty");
  if (/\p{Cc}/u.test(name))
    throw invalidArgument(`invalid name: ${JSON.stringify(name)} has a control character`);
  if (predefinedNames.has(name)) throw forbidden(`operation is not permitted on predefined ${name} network`);
  refuseSwarm(request);
  const driver = checkDriver(request.Driver ?? "");
  const asked = askedDefinition(request);
  if (asked.configOnly) checkConfigOnly(request);
  const definition = template === undefined ? asked : fromTemplate(asked, request, template);
  if (!asked.configOnly) checkFamilies(driver, definition);
  checkIpam(definition, request.IPAM?.Config ?? []);
  definition.subnets.forEach(checkFixedAddresses);
  const { device } = checkDriverOptions(driver, definition);
  return { name, driver: asked.configOnly ? "null" : driver, definition: { ...definition, device } };
}

function refuseSwarm({ Scope: scope = "", Ingress: ingress, Driver: driver }: NetworkCreateRequest): void {
  if (ingress === true)
    throw new EngineError("unavailable", `an ingress network needs a swarm: ${notSwarmManager}`);
  if (scope === "swarm" || scope === "global" || driver === "overlay")
    throw new EngineError("unavailable", notSwarmManager, {
      hint: "gantry has no swarm mode; networks are local: leave --scope and --driver overlay out",
    });
  if (scope !== "" && scope !== "local") throw invalidArgument(`invalid scope: ${scope} (want local)`);
}

function checkDriver(driver: string): NetworkDriver {
  switch (driver) {
    case "":
    case "default":
    case "bridge":
      return "bridge";
    case "macvlan":
    case "ipvlan":
      return driver;
    case "host":
    case "null":
    case "none":
      throw forbidden(`only one instance of "${driver === "none" ? "null" : driver}" network is allowed`);
    default:
      throw notFound(`could not find plugin ${driver} in v1 plugin registry: plugin not found`, {
        hint: "network plugins are not served; the drivers are bridge, macvlan, ipvlan, host and null",
      });
  }
}

function askedDefinition(request: NetworkCreateRequest): NetworkDefinition {
  const ipamDriver = request.IPAM?.Driver || "default";
  if (ipamDriver !== "default" && ipamDriver !== "null")
    throw notFound(`could not find plugin ${ipamDriver} in v1 plugin registry: plugin not found`, {
      hint: "plugins for addresses (IPAM) are not served; the drivers are default and null",
    });
  const v6Asked = (request.IPAM?.Config ?? []).some(
    ({ Subnet = "" }) => parsePrefix(Subnet)?.prefix.family === 6,
  );
  return {
    ...emptyDefinition,
    enableIPv4: request.EnableIPv4 ?? true,
    enableIPv6: request.EnableIPv6 ?? false,
    internal: request.Internal ?? false,
    attachable: request.Attachable ?? false,
    configOnly: request.ConfigOnly ?? false,
    configFrom: request.ConfigFrom?.Network ?? "",
    ipamDriver,
    ipamOptions: request.IPAM?.Options ?? {},
    subnets: readSubnets(request.IPAM?.Config ?? [], request.EnableIPv6 ?? v6Asked),
    options: request.Options ?? {},
    labels: request.Labels ?? {},
  };
}

function checkConfigOnly(request: NetworkCreateRequest): void {
  if (request.Internal === true || request.Attachable === true || (request.Scope ?? "") !== "")
    throw forbidden(
      "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.",
    );
  if ((request.ConfigFrom?.Network ?? "") !== "")
    throw forbidden("a configuration network cannot depend on another configuration network");
}

/** The template's configuration with what the request says about the use of the network. */
function fromTemplate(
  asked: NetworkDefinition,
  request: NetworkCreateRequest,
  template: NetworkDefinition,
): NetworkDefinition {
  const refused = "are not supported if the network depends on a configuration network";
  const hasOwn =
    asked.ipamDriver !== "default" ||
    asked.enableIPv6 ||
    [asked.labels, asked.ipamOptions].some((map) => Object.keys(map).length > 0) ||
    (request.IPAM?.Config ?? []).length > 0;
  if (hasOwn) throw forbidden(`user-specified configurations ${refused}`);
  if (Object.keys(asked.options).length > 0) throw forbidden(`network driver options ${refused}`);
  return {
    ...template,
    internal: asked.internal,
    attachable: asked.attachable,
    configOnly: false,
    configFrom: asked.configFrom,
  };
}

/** macvlan and ipvlan alone can be without addresses; the null IPAM driver has none to give. */
function checkFamilies(
  driver: NetworkDriver,
  { enableIPv4, enableIPv6, ipamDriver }: NetworkDefinition,
): void {
  if (driver === "bridge" && !enableIPv4 && !enableIPv6)
    throw invalidArgument("IPv4 or IPv6 must be enabled");
  if (ipamDriver !== "null" || (!enableIPv4 && !enableIPv6)) return;
  throw invalidArgument(`${enableIPv4 ? "ipv4" : "ipv6"} pool is empty`, {
    hint: "the null IPAM driver gives no addresses: use macvlan or ipvlan with it, with --ipv4=false and without --ipv6",
  });
}

const familyName = (prefix: Prefix): string => `IPv${prefix.family}`;

function addressComplaint(text: string, subnet: Prefix): string | undefined {
  const address = parseAddress(text);
  if (address === undefined) return "invalid address";
  if (address.family !== subnet.family) return `parent subnet is an ${familyName(subnet)} block`;
  if (!prefixContains(subnet, address))
    return `parent subnet ${formatPrefix(subnet)} doesn't contain this address`;
  return undefined;
}

function rangeComplaint(text: string, subnet: Prefix): string | undefined {
  const range = parsePrefix(text);
  if (range === undefined) return `invalid ip-range ${text}: invalid CIDR block notation`;
  const { prefix } = range;
  if (prefix.family !== subnet.family)
    return `invalid ip-range ${text}: parent subnet is an ${familyName(subnet)} block`;
  if (prefix.prefixLength < subnet.prefixLength)
    return `invalid ip-range ${text}: CIDR block is bigger than its parent subnet ${formatPrefix(subnet)}`;
  if (prefix.base !== range.address.value)
    return `invalid ip-range ${text}: it should be ${formatPrefix(prefix)}`;
  if (!prefixContains(subnet, { family: prefix.family, value: prefix.base }))
    return `invalid ip-range ${text}: parent subnet ${formatPrefix(subnet)} doesn't contain ip-range`;
  return undefined;
}

/** Docker's complaints about one subnet. (moby, api/types/network/ipam.go, ValidateIPAM) */
function complaints({ Subnet = "", IPRange = "", Gateway = "", AuxiliaryAddresses }: IpamConfig): string[] {
  const subnet = parsePrefix(Subnet);
  if (subnet === undefined) return [`invalid subnet ${Subnet}: invalid CIDR block notation`];
  const found: string[] = [];
  const { prefix } = subnet;
  if (prefix.base !== subnet.address.value)
    found.push(`invalid subnet ${Subnet}: it should be ${formatPrefix(prefix)}`);
  const range = IPRange === "" ? undefined : rangeComplaint(IPRange, prefix);
  if (range !== undefined) found.push(range);
  const gateway = Gateway === "" ? undefined : addressComplaint(Gateway, prefix);
  if (gateway !== undefined) found.push(`invalid gateway ${Gateway}: ${gateway}`);
  for (const [name, address] of Object.entries(AuxiliaryAddresses ?? {})) {
    const complaint = addressComplaint(address, prefix);
    if (complaint !== undefined) found.push(`invalid auxiliary address ${name}: ${complaint}`);
  }
  return found;
}

/** Throws all of Docker's complaints at once. A subnet of a family that the network does not have is left out. */
function readSubnets(configs: readonly IpamConfig[], enableIPv6: boolean): SubnetDefinition[] {
  const used = configs.filter(({ Subnet = "" }) => enableIPv6 || parsePrefix(Subnet)?.prefix.family !== 6);
  const found = used.flatMap(complaints);
  if (found.length > 0) throw invalidArgument(`invalid network config:\n${found.join("\n")}`);
  return used.map(({ Subnet = "", IPRange = "", Gateway = "", AuxiliaryAddresses }) => ({
    subnet: formatPrefix(parsePrefix(Subnet)!.prefix),
    gateway: Gateway === "" ? "" : normal(Gateway),
    ipRange: IPRange === "" ? "" : formatPrefix(parsePrefix(IPRange)!.prefix),
    auxiliaryAddresses: Object.fromEntries(
      Object.entries(AuxiliaryAddresses ?? {}).map(([name, address]) => [name, normal(address)]),
    ),
  }));
}

const normal = (address: string): string => formatAddress(parseAddress(address) as Address);

function checkIpam(definition: NetworkDefinition, asked: readonly IpamConfig[]): void {
  if (definition.ipamDriver === "null" && asked.length > 0)
    throw invalidArgument(
      "the null IPAM driver gives no addresses: leave --subnet, --gateway and --ip-range out",
    );
}

/** Gateway and auxiliary addresses are taken one after the other, and none that nobody can have. */
function checkFixedAddresses({ subnet, gateway, auxiliaryAddresses }: SubnetDefinition): void {
  const pool = new AddressPool({ subnet: parsePrefix(subnet)!.prefix, gateway: undefined });
  if (gateway !== "" && !pool.takeExactly(gateway))
    throw forbidden(`failed to allocate gateway (${gateway}): Address already in use`);
  for (const [name, address] of Object.entries(auxiliaryAddresses))
    if (!pool.takeExactly(address))
      throw forbidden(`failed to allocate secondary ip address (${name}:${address}): Address already in use`);
}
