import { isIP } from "node:net";
import type { PortBinding } from "../../wire/container.ts";
import { goQuote } from "../flag-values.ts";

export interface PublishedPorts {
  readonly exposed: Record<string, Record<string, never>>;
  readonly bindings: Record<string, PortBinding[]>;
}

interface PortRange {
  readonly first: number;
  readonly last: number;
}

/**
 * Reads the values of `-p` and `--expose`. The rules are those of Docker's package go-connections/nat: a range of host
 * ports for one container port is a choice that the daemon makes. Throws `Error` in Docker's words.
 */
export function publishedPorts(publish: readonly string[], expose: readonly string[]): PublishedPorts {
  const ports: PublishedPorts = { exposed: {}, bindings: {} };
  for (const value of publish) addPublished(ports, inShortNotation(value));
  for (const value of expose) addExposed(ports, value);
  return ports;
}

/** `published=8080,target=80,protocol=tcp` as `8080:80/tcp`. */
function inShortNotation(text: string): string {
  if (!text.includes("=")) return text;
  const values: Record<string, string> = { protocol: "tcp" };
  for (const part of text.split(",")) {
    const equals = part.indexOf("=");
    if (equals <= 0) throw new Error(`invalid publish opts format (should be name=value but got '${part}')`);
    values[part.slice(0, equals)] = part.slice(equals + 1);
  }
  return `${values["published"] ?? ""}:${values["target"] ?? ""}/${values["protocol"]}`;
}

function addPublished(ports: PublishedPorts, text: string): void {
  const parts = text.split(":");
  const { port: containerPort, protocol } = splitProtocol(parts.pop()!);
  const hostPort = parts.pop() ?? "";
  const hostIp = parts.join(":").replace(/^\[(.*)\]$/, "$1");
  if (hostIp !== "" && isIP(hostIp) === 0) throw new Error(`invalid IP address: ${hostIp}`);
  if (containerPort === "") throw new Error(`no port specified: ${text}<empty>`);
  const container = readRange(containerPort, "containerPort");
  const host = hostPort === "" ? undefined : readRange(hostPort, "hostPort");
  const count = container.last - container.first;
  if (host !== undefined && host.last - host.first !== count && count !== 0) {
    throw new Error(
      `invalid ranges specified for container and host Ports: ${containerPort} and ${hostPort}`,
    );
  }
  if (!["tcp", "udp", "sctp"].includes(protocol.toLowerCase())) throw new Error(`invalid proto: ${protocol}`);
  for (let index = 0; index <= count; index += 1) {
    const key = `${container.first + index}/${protocol.toLowerCase()}`;
    ports.exposed[key] = {};
    (ports.bindings[key] ??= []).push({ HostIp: hostIp, HostPort: hostPortText(host, index, count) });
  }
}

function hostPortText(host: PortRange | undefined, index: number, count: number): string {
  if (host === undefined) return "";
  const isChoice = count === 0 && host.first !== host.last;
  return isChoice ? `${host.first}-${host.last}` : String(host.first + index);
}

function addExposed(ports: PublishedPorts, text: string): void {
  if (text.includes(":")) throw new Error(`invalid port format for --expose: ${text}`);
  const { port, protocol } = splitProtocol(text);
  let range: PortRange;
  try {
    range = portRange(port);
  } catch (error) {
    throw new Error(`invalid range format for --expose: ${text}, error: ${(error as Error).message}`, {
      cause: error,
    });
  }
  for (let number = range.first; number <= range.last; number += 1)
    ports.exposed[`${number}/${protocol}`] = {};
}

function splitProtocol(text: string): { port: string; protocol: string } {
  const [port = "", protocol = ""] = text.split("/");
  return { port, protocol: protocol === "" ? "tcp" : protocol };
}

function readRange(text: string, what: string): PortRange {
  try {
    return portRange(text);
  } catch {
    throw new Error(`invalid ${what}: ${text}`);
  }
}

function portRange(text: string): PortRange {
  if (text === "") throw new Error("empty string specified for ports");
  const [start = "", ...rest] = text.split("-");
  const first = portNumber(start);
  if (rest.length === 0) return { first, last: first };
  const last = portNumber(rest.join("-"));
  if (last < first) throw new Error(`invalid range specified for port: ${text}`);
  return { first, last };
}

function portNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`strconv.ParseUint: parsing ${goQuote(text)}: invalid syntax`);
  const number = Number(text);
  if (number > 65_535) throw new Error(`strconv.ParseUint: parsing ${goQuote(text)}: value out of range`);
  return number;
}
