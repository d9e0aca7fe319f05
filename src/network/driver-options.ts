/** Options of the drivers (`--opt`), by Docker's names. Pure. Unknown ones are kept and mean nothing, as with Docker. */
import { isIP, isIPv4, isIPv6 } from "node:net";
import { invalidArgument } from "../base/errors.ts";
import type { NetworkDriver } from "./network.ts";

type Options = Readonly<Record<string, string>>;

interface Asked {
  readonly options: Options;
  readonly internal: boolean;
}

export type GatewayMode = "nat" | "nat-unprotected" | "routed" | "isolated";

const prefix = "com.docker.network.bridge.";
const mtuKey = "com.docker.network.driver.mtu";

/** What the options of a bridge say. */
export interface BridgeOptions {
  /** Device; empty to derive one from the id. */
  readonly name: string;
  readonly icc: boolean;
  readonly masquerade: boolean;
  /** Host address of published ports that name none; empty for the daemon's. */
  readonly hostBindingIp: string;
  /** Bytes; 0 for the daemon's. */
  readonly mtu: number;
  readonly gatewayModes: { readonly ipv4: GatewayMode; readonly ipv6: GatewayMode };
  /** No address on the bridge. */
  readonly inhibitIPv4: boolean;
  /** Source addresses of what leaves the host, in place of the outgoing device's; empty for those. */
  readonly hostIPv4: string;
  readonly hostIPv6: string;
  /** Devices of the host that may reach containers' unpublished ports. */
  readonly trustedInterfaces: readonly string[];
  /** Name of devices in containers, before the number. */
  readonly interfacePrefix: string;
}

export interface MacvlanOptions {
  readonly kind: "macvlan";
  /** Empty for none: a dummy device, which leads nowhere. */
  readonly parent: string;
  readonly mode: "bridge" | "private" | "vepa" | "passthru";
  readonly mtu: number;
}

export interface IpvlanOptions {
  readonly kind: "ipvlan";
  readonly parent: string;
  readonly mode: "l2" | "l3" | "l3s";
  readonly flag: "bridge" | "private" | "vepa";
  readonly mtu: number;
}

/** Go's strconv.ParseBool. */
function readBoolean(options: Options, key: string, fallback: boolean): boolean {
  const text = options[key];
  if (text === undefined) return fallback;
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw invalidArgument(
    `failed to parse ${key} value: ${text} (strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax)`,
  );
}

function readMtu(options: Options): number {
  const text = options[mtuKey];
  if (text === undefined || text === "") return 0;
  if (!/^[+-]?\d+$/.test(text))
    throw invalidArgument(
      `failed to parse ${mtuKey} value: ${text} (strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax)`,
    );
  if (Number(text) > 65_535 || (Number(text) !== 0 && Number(text) < 68))
    throw invalidArgument(`invalid MTU number: ${text}`, { hint: "take 68 to 65535" });
  return Number(text);
}

function oneOf<T extends string>(key: string, text: string, words: readonly T[]): T {
  const word = words.find((candidate) => candidate === text);
  if (word === undefined) throw invalidArgument(`invalid ${key}: "${text}" (want ${words.join(", ")})`);
  return word;
}

/** The first is what nothing means. */
function knownMode<T extends string>(what: string, text: string, words: readonly [T, ...T[]]): T {
  const word = text === "" ? words[0] : words.find((candidate) => candidate === text);
  if (word !== undefined) return word;
  const [driver] = what.split(" ");
  throw invalidArgument(
    `requested ${what} '${text}' is not valid, '${words[0]}' ${what.split(" ")[1]} is the ${driver} driver default`,
    { hint: `the others are ${words.slice(1).join(", ")}` },
  );
}

function readGatewayMode(options: Options, family: "ipv4" | "ipv6", internal: boolean): GatewayMode {
  const key = `${prefix}gateway_mode_${family}`;
  const text = options[key] ?? "";
  const mode = oneOf(key, text === "" ? "nat" : text, ["nat", "nat-unprotected", "routed", "isolated"]);
  if (mode === "isolated" && !internal)
    throw invalidArgument(`gateway mode 'isolated' can only be used for an internal network`);
  if (mode !== "isolated" && mode !== "nat" && internal)
    throw invalidArgument(`gateway mode '${mode}' cannot be used for an internal network`);
  return mode;
}

function readAddress(options: Options, key: string, isAddress: (text: string) => boolean): string {
  const text = options[key] ?? "";
  if (text !== "" && !isAddress(text))
    throw invalidArgument(`failed to parse ${key} value: ${text} (nil ip)`);
  return text;
}

const interfaceName = /^[^\s/:"%\p{Cc}]{1,15}$/u;

function checkInterfaceName(text: string, what: string): string {
  if (
    !interfaceName.test(text) ||
    text === "." ||
    text === ".." ||
    text === "lo" ||
    text === "all" ||
    text === "default"
  )
    throw invalidArgument(
      `invalid ${what}: "${text}" cannot be the name of a network device (at most 15 characters)`,
    );
  return text;
}

/** Throws `invalidArgument`. */
export function bridgeOptions(options: Options, internal: boolean): BridgeOptions {
  const name = options[`${prefix}name`] ?? "";
  if (name !== "" && !/^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/.test(name))
    throw invalidArgument(`invalid bridge name: ${name}`, {
      hint: "take at most 15 letters, digits, dashes, dots and underscores",
    });
  const binding = `${prefix}host_binding_ipv4`;
  const trusted = (options[`${prefix}trusted_host_interfaces`] ?? "")
    .split(":")
    .filter((text) => text !== "");
  const ifacePrefix = options["com.docker.network.container_iface_prefix"] ?? "";
  if (ifacePrefix !== "" && !/^[A-Za-z][A-Za-z0-9_.-]{0,11}$/.test(ifacePrefix))
    throw invalidArgument(`invalid com.docker.network.container_iface_prefix: "${ifacePrefix}"`);
  return {
    name,
    icc: readBoolean(options, `${prefix}enable_icc`, true),
    masquerade: readBoolean(options, `${prefix}enable_ip_masquerade`, true),
    hostBindingIp: readAddress(options, binding, (text) => isIP(text) !== 0),
    mtu: readMtu(options),
    gatewayModes: {
      ipv4: readGatewayMode(options, "ipv4", internal),
      ipv6: readGatewayMode(options, "ipv6", internal),
    },
    inhibitIPv4: readBoolean(options, `${prefix}inhibit_ipv4`, false),
    hostIPv4: readAddress(options, "com.docker.network.host_ipv4", isIPv4),
    hostIPv6: readAddress(options, "com.docker.network.host_ipv6", isIPv6),
    trustedInterfaces: trusted.map((text) => checkInterfaceName(text, `${prefix}trusted_host_interfaces`)),
    interfacePrefix: ifacePrefix === "" ? "eth" : ifacePrefix,
  };
}

/** An internal network has a parent of its own, whatever is asked for: so it is with Docker. */
function readParent(driver: "macvlan" | "ipvlan", options: Options, internal: boolean): string {
  const parent = options["parent"] ?? "";
  if (parent === "") return "";
  if (parent === "lo")
    throw invalidArgument(`loopback interface is not a valid ${driver} parent link`, {
      hint: "leave -o parent out for a network among containers alone",
    });
  checkInterfaceName(parent, "parent");
  return internal ? "" : parent;
}

export function macvlanOptions(options: Options, internal: boolean): MacvlanOptions {
  const mode = options["macvlan_mode"] ?? "";
  return {
    kind: "macvlan",
    parent: readParent("macvlan", options, internal),
    mode: knownMode("macvlan mode", mode, ["bridge", "private", "vepa", "passthru"]),
    mtu: readMtu(options),
  };
}

export function ipvlanOptions(options: Options, internal: boolean): IpvlanOptions {
  const mode = options["ipvlan_mode"] ?? "";
  const flag = options["ipvlan_flag"] ?? "";
  return {
    kind: "ipvlan",
    parent: readParent("ipvlan", options, internal),
    mode: knownMode("ipvlan mode", mode, ["l2", "l3", "l3s"]),
    flag: knownMode("ipvlan flag", flag, ["bridge", "private", "vepa"]),
    mtu: readMtu(options),
  };
}

/** Checks the options of a driver; gives the device that they name, empty for none. */
export function checkDriverOptions(driver: NetworkDriver, asked: Asked): { readonly device: string } {
  const { options, internal } = asked;
  if (driver === "bridge") return { device: bridgeOptions(options, internal).name };
  if (driver === "macvlan") return { device: macvlanOptions(options, internal).parent };
  if (driver === "ipvlan") return { device: ipvlanOptions(options, internal).parent };
  return { device: "" };
}

/** Settings of one endpoint (`--network name=x,driver-opt=…`). */
export interface EndpointOptions {
  /** Name of the device in the container; empty to count. */
  readonly interfaceName: string;
  /** Settings below net.*.conf.IFNAME, with the device's name in IFNAME's place still to come. */
  readonly sysctls: readonly (readonly [name: string, value: string])[];
}

/** Throws `invalidArgument`. (Docker's com.docker.network.endpoint.ifname and .sysctls) */
export function endpointOptions(options: Options): EndpointOptions {
  const name = options["com.docker.network.endpoint.ifname"] ?? "";
  if (name !== "") checkInterfaceName(name, "com.docker.network.endpoint.ifname");
  const text = options["com.docker.network.endpoint.sysctls"] ?? "";
  const sysctls = text
    .split(",")
    .filter((entry) => entry !== "")
    .map((entry): readonly [string, string] => {
      // Docker's command line writes all of `driver-opt=` in small letters.
      const match =
        /^(net\.(?:ipv4|ipv6|mpls)\.(?:conf|neigh)\.IFNAME\.[a-z0-9_]+|net\.mpls\.conf\.IFNAME\.input)=(.+)$/i.exec(
          entry,
        );
      if (match === null)
        throw invalidArgument(
          `unable to parse com.docker.network.endpoint.sysctls: "${entry}" (want net.ipv4.conf.IFNAME.NAME=VALUE)`,
        );
      return [match[1]!, match[2]!];
    });
  return { interfaceName: name, sysctls };
}
