/** The short form of a port: `[[IP:]HOST:]CONTAINER[/PROTOCOL]`, each a number or a range. */
import { isIP } from "node:net";
import { ComposeError } from "../errors.ts";
import { sprint } from "../go-values.ts";
import { treeMap, type TreeMap } from "../tree.ts";

interface Range {
  readonly start: number;
  readonly end: number;
}

/** The long forms of a short one, one a port. Throws {@link ComposeError} in Docker's words. */
export function longPorts(text: string): TreeMap[] {
  const slash = text.indexOf("/");
  const spec = slash < 0 ? text : text.slice(0, slash);
  const protocol = (slash < 0 ? "" : text.slice(slash + 1)) || "tcp";
  const { hostIp, host, container } = split(spec);
  if (container === "") throw bad(`No port specified: ${text}<empty>`);
  if (!["tcp", "udp", "sctp"].includes(protocol.toLowerCase())) throw bad(`Invalid proto: ${protocol}`);
  const targets = range(container, `Invalid containerPort: ${container}`);
  const hosts = host === "" ? undefined : range(host, `Invalid hostPort: ${host}`);
  checkIp(hostIp);
  const count = targets.end - targets.start;
  if (hosts !== undefined && hosts.end - hosts.start !== count && targets.start !== targets.end) {
    throw bad(`Invalid ranges specified for container and host Ports: ${container} and ${host}`);
  }
  const all: TreeMap[] = [];
  for (let index = 0; index <= count; index++) {
    const port = treeMap([["mode", "ingress"]]);
    if (hostIp !== "") port["host_ip"] = hostIp;
    port["target"] = targets.start + index;
    if (hosts !== undefined) {
      // One port of the container takes any of a range of the host's.
      const isChoice = count === 0 && hosts.start !== hosts.end;
      port["published"] = isChoice ? `${hosts.start}-${hosts.end}` : String(hosts.start + index);
    }
    port["protocol"] = protocol.toLowerCase();
    all.push(port);
  }
  // Docker Compose orders the ports of a range as texts.
  const key = (port: TreeMap): string => `${sprint(port["target"] ?? 0)}/`;
  return all.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

function split(spec: string): { hostIp: string; host: string; container: string } {
  const parts = spec.split(":");
  if (parts.length <= 2) {
    return { hostIp: "", host: parts.length === 2 ? parts[0]! : "", container: parts.at(-1)! };
  }
  const container = parts.pop()!;
  const host = parts.pop()!;
  const hostIp = parts.join(":");
  return { hostIp: hostIp.replace(/^\[(.*)\]$/, "$1"), host, container };
}

function checkIp(text: string): void {
  if (text !== "" && isIP(text) === 0) throw bad(`Invalid ip address: ${text}`);
}

function range(text: string, message: string): Range {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  if (match === null) throw bad(message);
  const start = Number(match[1]);
  const end = Number(match[2] ?? match[1]);
  if (end < start || end > 65_535) throw bad(message);
  return { start, end };
}

function bad(message: string): ComposeError {
  return new ComposeError(message, { exitCode: 15 });
}
