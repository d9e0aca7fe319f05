import { invalidArgument } from "../base/errors.ts";
import type { PortRequest } from "../network/network.ts";
import type { ContainerConfig, HostConfig, PortBinding } from "../wire/container.ts";

interface ContainerPort {
  readonly port: number;
  readonly protocol: PortRequest["protocol"];
}

/** Reads `80`, `80/tcp` … of ExposedPorts and PortBindings; undefined for what is no port. */
export function readContainerPort(text: string): ContainerPort | undefined {
  const match = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/i.exec(text);
  const port = Number(match?.[1]);
  if (match === null || port < 1 || port > 65535) return undefined;
  return { port, protocol: (match[2]?.toLowerCase() ?? "tcp") as PortRequest["protocol"] };
}

/** As {@link readContainerPort}. Throws `invalidArgument` for what is no port. */
export function parseContainerPort(text: string): ContainerPort {
  const found = readContainerPort(text);
  if (found === undefined)
    throw invalidArgument(
      `invalid port specification: "${text}" (want PORT or PORT/tcp|udp|sctp, 1 to 65535)`,
    );
  return found;
}

/** Parses a host port: empty, `8080`, or a range `8000-8010`. Throws `invalidArgument`. */
function parseHostPort(text: string): [first: number, last: number] {
  if (text === "" || text === "0") return [0, 0];
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first < 1 || last > 65535 || last < first)
    throw invalidArgument(`invalid port specification: "${text}" (want a host port or a range, 1 to 65535)`);
  return [first, last];
}

function isAddress(text: string): boolean {
  return text === "" || /^(\d{1,3}\.){3}\d{1,3}$/.test(text) || /^[0-9a-f:.]+$/i.test(text);
}

/** What a container asks to be published, in the order of its ports. Throws `invalidArgument` for what cannot be read. */
export function portRequests(
  config: ContainerConfig,
  hostConfig: HostConfig,
  defaultIp: string,
): PortRequest[] {
  const requests: PortRequest[] = [];
  for (const [key, bindings] of Object.entries(hostConfig.PortBindings ?? {})) {
    const { port, protocol } = parseContainerPort(key);
    for (const binding of bindings ?? []) requests.push(portRequest({ port, protocol }, binding, defaultIp));
  }
  if (hostConfig.PublishAllPorts === true)
    for (const key of Object.keys(config.ExposedPorts ?? {})) {
      const { port, protocol } = parseContainerPort(key);
      if (!requests.some((request) => request.containerPort === port && request.protocol === protocol))
        requests.push(portRequest({ port, protocol }, {}, defaultIp));
    }
  return requests;
}

function portRequest(container: ContainerPort, binding: PortBinding, defaultIp: string): PortRequest {
  const hostIp = (binding.HostIp ?? "").replace(/^\[(.*)\]$/, "$1");
  if (!isAddress(hostIp))
    throw invalidArgument(`invalid IP address: "${hostIp}" in the binding of port ${container.port}`);
  const [hostPortFirst, hostPortLast] = parseHostPort(binding.HostPort ?? "");
  return {
    protocol: container.protocol,
    containerPort: container.port,
    hostIp: hostIp === "" ? defaultIp : hostIp,
    hostPortFirst,
    hostPortLast,
  };
}
