/** Which servers are asked for a reference, and how far each is trusted (the rules of Docker's daemon). */
import { BlockList, isIP } from "node:net";
import { invalidArgument } from "../base/errors.ts";
import type { RegistrySettings } from "./registry.ts";

/** One address of a registry. */
export interface RegistryEndpoint {
  /** `https://host[:port]`. */
  readonly origin: string;
  /** What comes before `/v2/`: empty, or a mirror's path. */
  readonly prefix: string;
  /** `host[:port]` as people write it; names the directory of certificates. */
  readonly host: string;
  /** False where any certificate will do. */
  readonly verifyTls: boolean;
  /** Asked without credentials, and given up without a word. */
  readonly isMirror: boolean;
}

const hubDomain = "docker.io";
const hubHost = "registry-1.docker.io";
/** The name that credentials for Docker Hub are kept under. */
export const hubAuthKey = "https://index.docker.io/v1/";

/**
 * The endpoints for a domain of a reference, in the order in which they are tried. A registry that counts as insecure is
 * asked with TLS first and then in the clear. Mirrors stand in for Docker Hub, and only for reading. Throws
 * `invalidArgument` for a domain with a port that is none.
 */
export function registryEndpoints(
  domain: string,
  settings: Pick<RegistrySettings, "insecureRegistries" | "registryMirrors">,
  purpose: "pull" | "push",
): RegistryEndpoint[] {
  if (!URL.canParse(`https://${domain}`) || new URL(`https://${domain}`).host === "")
    throw invalidArgument(`invalid registry address ${JSON.stringify(domain)}: it must be HOST or HOST:PORT`);
  if (domain !== hubDomain) return ownEndpoints(domain, settings.insecureRegistries);
  const mirrors =
    purpose === "pull"
      ? settings.registryMirrors.map((url) => mirrorEndpoint(url, settings.insecureRegistries))
      : [];
  return [
    ...mirrors,
    { origin: `https://${hubHost}`, prefix: "", host: hubHost, verifyTls: true, isMirror: false },
  ];
}

function ownEndpoints(host: string, insecure: readonly string[]): RegistryEndpoint[] {
  const isInsecure = isInsecureRegistry(host, insecure);
  const secure = {
    origin: `https://${host}`,
    prefix: "",
    host,
    verifyTls: !isInsecure,
    isMirror: false,
  };
  return isInsecure ? [secure, { ...secure, origin: `http://${host}` }] : [secure];
}

function mirrorEndpoint(text: string, insecure: readonly string[]): RegistryEndpoint {
  const url = new URL(text);
  return {
    origin: url.origin,
    prefix: url.pathname.replace(/\/+$/, ""),
    host: url.host,
    verifyTls: !isInsecureRegistry(url.host, insecure),
    isMirror: true,
  };
}

/**
 * True for a host that may be spoken to in the clear: it is listed by name, its address lies in a listed range, or it is
 * this machine (127.0.0.0/8, ::1, `localhost`), which Docker always trusts.
 */
export function isInsecureRegistry(host: string, insecure: readonly string[]): boolean {
  const listed = insecure.map((entry) => entry.replace(/^https?:\/\//, "").replace(/\/+$/, ""));
  if (listed.includes(host)) return true;
  const name = hostName(host);
  if (name === "localhost") return true;
  const family = isIP(name);
  if (family === 0) return false;
  const ranges = rangesOf(["127.0.0.0/8", "::1/128", ...insecure.filter(isAddressRange)]);
  return ranges.check(name, family === 6 ? "ipv6" : "ipv4");
}

/** The host without port and brackets. */
export function hostName(host: string): string {
  const bracketed = /^\[([^\]]+)\]/.exec(host);
  return bracketed?.[1] ?? host.replace(/:\d+$/, "");
}

/** `10.0.0.0/8`, not `host:5000`. */
export function isAddressRange(entry: string): boolean {
  const [address = "", length, rest] = entry.split("/");
  return rest === undefined && length !== undefined && /^\d+$/.test(length) && isIP(address) !== 0;
}

function rangesOf(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = "", length = ""] = entry.split("/");
    list.addSubnet(address, Number(length), isIP(address) === 6 ? "ipv6" : "ipv4");
  }
  return list;
}

/** The sentence that is wrong with a `registry-mirrors` entry; undefined when it is well formed (Docker's rules). */
export function mirrorComplaint(text: string): string | undefined {
  if (!URL.canParse(text)) return `invalid mirror: ${JSON.stringify(text)} is not a valid URI`;
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "https:")
    return `invalid mirror: unsupported scheme "${url.protocol.replace(/:$/, "")}" in "${url.host}"`;
  if (url.username !== "" || url.password !== "")
    return `invalid mirror: username/password not allowed in URI of "${url.host}"`;
  if (url.search !== "" || url.hash !== "")
    return `invalid mirror: ${JSON.stringify(text)} must have no query and no fragment`;
  return undefined;
}

/** The sentence that is wrong with an `insecure-registries` entry; undefined when it is well formed. */
export function insecureRegistryComplaint(text: string): string | undefined {
  const entry = text.replace(/^https?:\/\//, "");
  if (isAddressRange(entry)) {
    const [address = "", length = ""] = entry.split("/");
    return Number(length) <= (isIP(address) === 6 ? 128 : 32)
      ? undefined
      : `insecure registry ${text} is not valid: its prefix length is too large`;
  }
  if (!/^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9][A-Za-z0-9_.-]*)(:\d{1,5})?\/?$/.test(entry))
    return `insecure registry ${text} is not valid: want host[:port] or a range such as 10.0.0.0/8`;
  return undefined;
}
