import type { EndpointSettings } from "../../wire/container.ts";
import { goQuote, parseCommaSeparated } from "../flag-values.ts";

/** One value of `--network`. */
export interface NetworkAttachment {
  target: string;
  aliases: readonly string[];
  links: readonly string[];
  driverOptions: Readonly<Record<string, string>>;
  ipv4: string;
  ipv6: string;
  linkLocalAddresses: readonly string[];
  macAddress: string;
  gatewayPriority: number;
}

/** The older flags that belong to the first network: `--ip`, `--network-alias` … */
export type FirstNetworkFlags = Pick<
  NetworkAttachment,
  "aliases" | "links" | "ipv4" | "ipv6" | "linkLocalAddresses" | "macAddress"
>;

const macAddressForm =
  /^(?:[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}|[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2})$/;

/** An Ethernet address with colons, hyphens or dots. */
export function isMacAddress(text: string): boolean {
  return macAddressForm.test(text);
}

/** Reads a value of `--network`: a name, or `name=x,alias=y,ip=…`. Throws `Error` in Docker's words. */
export function networkAttachment(text: string): NetworkAttachment {
  const attachment: NetworkAttachment = {
    target: text,
    aliases: [],
    links: [],
    driverOptions: {},
    ipv4: "",
    ipv6: "",
    linkLocalAddresses: [],
    macAddress: "",
    gatewayPriority: 0,
  };
  if (!/\w+=\w+(,\w+=\w+)*/.test(text)) return attachment;
  attachment.target = "";
  for (const field of parseCommaSeparated(text)) {
    const equals = field.indexOf("=");
    if (equals <= 0) throw new Error(`invalid field ${field}`);
    setField(
      attachment,
      field.slice(0, equals).trim().toLowerCase(),
      field
        .slice(equals + 1)
        .trim()
        .toLowerCase(),
    );
  }
  if (attachment.target === "") throw new Error("network name/id is not specified");
  return attachment;
}

function setField(attachment: NetworkAttachment, key: string, value: string): void {
  switch (key) {
    case "name":
      attachment.target = value;
      return;
    case "alias":
      attachment.aliases = [...attachment.aliases, value];
      return;
    case "ip":
      attachment.ipv4 = value;
      return;
    case "ip6":
      attachment.ipv6 = value;
      return;
    case "mac-address":
      if (!isMacAddress(value)) throw new Error(`${value} is not a valid mac address`);
      attachment.macAddress = value;
      return;
    case "link-local-ip":
      attachment.linkLocalAddresses = [...attachment.linkLocalAddresses, value];
      return;
    case "driver-opt": {
      const equals = value.indexOf("=");
      if (equals < 0) throw new Error("invalid key value pair format in driver options");
      attachment.driverOptions = {
        ...attachment.driverOptions,
        [value.slice(0, equals)]: value.slice(equals + 1),
      };
      return;
    }
    case "gw-priority":
      if (!/^[+-]?\d{1,18}$/.test(value))
        throw new Error(`invalid gw-priority: ${goQuote(value)} is no integer`);
      attachment.gatewayPriority = Number(value);
      return;
    default:
      throw new Error(`invalid field key ${key}`);
  }
}

/** What the networks are in the request: the mode of the first, and an endpoint for each that needs one. */
export interface NetworkRequest {
  readonly mode: string;
  readonly endpoints: Record<string, EndpointSettings>;
}

/** Puts `--network` and the older flags together. Throws `Error` in Docker's words. */
export function networkRequest(
  attachments: readonly NetworkAttachment[],
  flags: FirstNetworkFlags,
): NetworkRequest {
  const endpoints: Record<string, EndpointSettings> = {};
  if (attachments.length === 0) {
    const target = "default";
    endpoints[target] = endpoint(withFlags(networkAttachment(target), flags));
    return { mode: target, endpoints };
  }
  const userDefined = attachments.map(({ target }) => isUserDefined(target));
  for (const [index, attachment] of attachments.entries()) {
    const complete = index === 0 ? withFlags(attachment, flags) : attachment;
    const settings = endpoint(complete);
    if (Object.hasOwn(endpoints, complete.target)) {
      throw new Error(`network ${goQuote(complete.target)} is specified multiple times`);
    }
    if (attachments.length === 1 && isPlain(complete)) continue;
    endpoints[complete.target] = settings;
  }
  if (userDefined.includes(true) && userDefined.includes(false)) {
    throw new Error(
      "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
    );
  }
  return { mode: attachments[0]!.target, endpoints };
}

function isUserDefined(target: string): boolean {
  return !["default", "bridge", "host", "none"].includes(target) && !target.startsWith("container:");
}

function withFlags(attachment: NetworkAttachment, flags: FirstNetworkFlags): NetworkAttachment {
  const conflicts: [boolean, string][] = [
    [attachment.aliases.length > 0 && flags.aliases.length > 0, "--network-alias and per-network alias"],
    [attachment.ipv4 !== "" && flags.ipv4 !== "", "--ip and per-network IPv4 address"],
    [attachment.ipv6 !== "" && flags.ipv6 !== "", "--ip6 and per-network IPv6 address"],
    [attachment.macAddress !== "" && flags.macAddress !== "", "--mac-address and per-network MAC address"],
    [
      attachment.linkLocalAddresses.length > 0 && flags.linkLocalAddresses.length > 0,
      "--link-local-ip and per-network link-local IP addresses",
    ],
  ];
  for (const [isConflict, what] of conflicts) {
    if (isConflict) throw new Error(`conflicting options: cannot specify both ${what}`);
  }
  const either = <T extends { readonly length: number }>(own: T, flag: T): T => (own.length > 0 ? own : flag);
  return {
    ...attachment,
    aliases: either(attachment.aliases, flags.aliases),
    links: isUserDefined(attachment.target) ? flags.links : [],
    ipv4: either(attachment.ipv4, flags.ipv4),
    ipv6: either(attachment.ipv6, flags.ipv6),
    macAddress: either(attachment.macAddress, flags.macAddress),
    linkLocalAddresses: either(attachment.linkLocalAddresses, flags.linkLocalAddresses),
  };
}

function isPlain(attachment: NetworkAttachment): boolean {
  const { aliases, links, driverOptions, ipv4, ipv6, linkLocalAddresses, macAddress, gatewayPriority } =
    attachment;
  const isEmpty = [aliases, links, linkLocalAddresses, Object.keys(driverOptions)].every(
    (list) => list.length === 0,
  );
  return isEmpty && ipv4 + ipv6 + macAddress === "" && gatewayPriority === 0;
}

function endpoint(attachment: NetworkAttachment): EndpointSettings {
  const { target, aliases, links, driverOptions, ipv4, ipv6, linkLocalAddresses } = attachment;
  if (target.trim() === "") throw new Error("no name set for network");
  if (aliases.length > 0 && !isUserDefined(target)) {
    throw new Error("network-scoped aliases are only supported for user-defined networks");
  }
  const hasAddress = ipv4 + ipv6 !== "" || linkLocalAddresses.length > 0;
  return {
    IPAMConfig: hasAddress
      ? {
          ...(ipv4 === "" ? {} : { IPv4Address: ipv4 }),
          ...(ipv6 === "" ? {} : { IPv6Address: ipv6 }),
          ...(linkLocalAddresses.length === 0 ? {} : { LinkLocalIPs: [...linkLocalAddresses] }),
        }
      : null,
    Links: links.length === 0 ? null : [...links],
    Aliases: aliases.length === 0 ? null : [...aliases],
    MacAddress: attachment.macAddress,
    DriverOpts: Object.keys(driverOptions).length === 0 ? null : { ...driverOptions },
    GwPriority: attachment.gatewayPriority,
    NetworkID: "",
    EndpointID: "",
    Gateway: "",
    IPAddress: "",
    IPPrefixLen: 0,
    IPv6Gateway: "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    DNSNames: null,
  };
}
