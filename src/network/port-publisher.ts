/** Turns port requests into held ports of the host, all of them or none. */
import { closeSync, openSync, readSync } from "node:fs";
import { isIP } from "node:net";
import { conflict, EngineError, errorText, invalidArgument } from "../base/errors.ts";
import { crashpoint } from "../base/failpoint.ts";
import type { PortRequest, PublishedPort } from "./network.ts";
import { holdTcp, holdUdp, type PortHolder } from "./port-holder.ts";

export interface PublishRequest {
  readonly ports: readonly PortRequest[];
  /** Address of the container that is passed on to; empty for none. */
  readonly containerAddress: string;
  /** Families that "all addresses" means; IPv6 only on a host that has it. */
  readonly families: { readonly ipv4: boolean; readonly ipv6: boolean };
  /** `NAME (ID)` of the endpoint, for errors. */
  readonly endpoint: string;
  /** Host address for requests without one; `0.0.0.0` stands for all, IPv6 too. */
  readonly defaultHostIp: string;
}

export interface Publication {
  readonly ports: readonly PublishedPort[];
  /** What is passed on goes to another address of the container from now on. */
  retarget(containerAddress: string): void;
  /** Frees the ports at once; nothing when they are free. */
  close(): void;
}

/** How often this process holds a port number, to tell its own ports from those of other programs. */
const ownPorts = new Map<string, number>();
const ownKey = (port: PublishedPort): string => `${port.protocol} ${port.hostPort}`;

function countOwn(ports: readonly PublishedPort[], change: 1 | -1): void {
  for (const port of ports) {
    const count = (ownPorts.get(ownKey(port)) ?? 0) + change;
    if (count > 0) ownPorts.set(ownKey(port), count);
    else ownPorts.delete(ownKey(port));
  }
}

/** Whether a device of the host has an IPv6 address. The kernel writes a line for each of them: the first byte will do. */
function hostHasIpv6(): boolean {
  try {
    const fd = openSync("/proc/net/if_inet6", "r");
    try {
      return readSync(fd, Buffer.alloc(1)) === 1;
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
}

function hostAddresses(
  { hostIp }: PortRequest,
  { defaultHostIp, families }: Pick<PublishRequest, "defaultHostIp" | "families">,
): string[] {
  const address = hostIp === "" ? defaultHostIp : hostIp;
  if (isIP(address) === 0) throw invalidArgument(`invalid host IP address for a published port: ${address}`);
  if (hostIp === "" && (address === "0.0.0.0" || address === ""))
    return [...(families.ipv4 ? ["0.0.0.0"] : []), ...(families.ipv6 ? ["::"] : [])];
  return [address];
}

/** Where a container's ports lead to; it changes while they are held. */
interface Target {
  address: string;
}

async function hold(port: PublishedPort, container: Target): Promise<PortHolder> {
  const target = {
    get address() {
      return container.address;
    },
    port: port.containerPort,
  };
  const request = { hostIp: port.hostIp, hostPort: port.hostPort, target };
  if (port.protocol === "tcp") return await holdTcp(request);
  if (port.protocol === "udp") return await holdUdp(request);
  // SCTP: no socket holds it, only this process's own list keeps two containers off one port.
  if (port.hostPort !== 0 && ownPorts.has(ownKey(port)))
    throw Object.assign(new Error("in use"), { code: "EADDRINUSE" });
  return { port: port.hostPort === 0 ? freeSctpPort() : port.hostPort, close: () => {} };
}

function freeSctpPort(): number {
  for (let port = 49_153; port <= 65_535; port++) if (!ownPorts.has(`sctp ${port}`)) return port;
  throw new EngineError("resourceExhausted", "all ports are allocated for SCTP");
}

/** A port of the host cannot be had on one of the addresses that it was asked for on. */
class HoldError extends Error {
  readonly hostIp: string;
  /** Of the system; empty without one. */
  readonly code: string;
  constructor(hostIp: string, cause: unknown) {
    super(errorText(cause), { cause });
    this.hostIp = hostIp;
    this.code = (cause as { code?: string }).code ?? "";
  }
}

/** Holds one host port number on all of `addresses`. Throws a {@link HoldError}, with nothing held. */
async function holdEverywhere(
  request: PortRequest,
  addresses: readonly string[],
  hostPort: number,
  container: Target,
): Promise<Pick<Publication, "ports" | "close">> {
  const ports: PublishedPort[] = [];
  const holders: PortHolder[] = [];
  const close = (): void => {
    for (const holder of holders) holder.close();
    countOwn(ports, -1);
  };
  try {
    for (const hostIp of addresses) {
      const { protocol, containerPort } = request;
      const wanted = { protocol, containerPort, hostIp, hostPort: ports[0]?.hostPort ?? hostPort };
      const holder = await hold(wanted, container).catch((error: unknown) => {
        throw new HoldError(hostIp, error);
      });
      holders.push(holder);
      ports.push({ ...wanted, hostPort: holder.port });
    }
  } catch (error) {
    for (const holder of holders) holder.close();
    throw error;
  }
  countOwn(ports, 1);
  crashpoint("network-open.held");
  return { ports, close };
}

/** How long after a failure a port is tried again that a running container has. */
const holdAgainMs = 2_000;

/** Docker's words for a port that cannot be had. */
function refusal(request: PortRequest, { hostIp, code, cause, message }: HoldError): EngineError {
  const { hostPortFirst: first, hostPortLast: last, protocol } = request;
  const at = `${hostIp.includes(":") ? `[${hostIp}]` : hostIp}:${first}`;
  if (code === "EADDRINUSE") {
    if (last > first) return conflict(`Bind for ${at}-${last} failed: all ports are allocated`);
    const isOwn = ownPorts.has(`${protocol} ${first}`);
    return conflict(
      `Bind for ${at} failed: ${isOwn ? "port is already allocated" : "address already in use"}`,
    );
  }
  if (code === "EADDRNOTAVAIL")
    return invalidArgument(`Bind for ${at} failed: cannot assign requested address`, {
      hint: "publish on an address that the host has",
    });
  return new EngineError("internal", `Bind for ${at} failed: ${message}`, { cause });
}

/** Tries the numbers of one request in order. */
async function publishOne(
  request: PortRequest,
  container: Target,
  options: PublishRequest,
): Promise<Pick<Publication, "ports" | "close">> {
  const addresses = hostAddresses(request, options);
  const { hostPortFirst: first, hostPortLast: last } = request;
  // The kernel picks a port that is free on the first address; the other one may take a few tries.
  const attempts = first === 0 ? 64 : Math.max(last, first) - first + 1;
  let failure: HoldError | undefined;
  for (let i = 0; i < attempts; i++) {
    try {
      return await holdEverywhere(request, addresses, first === 0 ? 0 : first + i, container);
    } catch (error) {
      if (!(error instanceof HoldError)) throw error;
      failure = error;
      if (error.code !== "EADDRINUSE") break;
    }
  }
  throw refusal(request, failure!);
}

function retargeting(container: Target): (address: string) => void {
  return (address) => {
    container.address = address;
  };
}

/** Holds every requested port. Throws `conflict` for a busy one, with nothing held. */
export async function publishPorts(asked: PublishRequest): Promise<Publication> {
  const { families } = asked;
  const hasIpv6 = asked.ports.length > 0 && families.ipv6 && hostHasIpv6();
  const request = { ...asked, families: { ...families, ipv6: hasIpv6 } };
  const done: Pick<Publication, "ports" | "close">[] = [];
  const container: Target = { address: request.containerAddress };
  const close = (): void => {
    for (const publication of done.splice(0)) publication.close();
  };
  try {
    for (const port of request.ports) done.push(await publishOne(port, container, request));
  } catch (error) {
    close();
    if (!(error instanceof EngineError)) throw error;
    const message = `driver failed programming external connectivity on endpoint ${request.endpoint}: ${error.message}`;
    throw new EngineError(error.kind, message, { cause: error, ...(error.hint && { hint: error.hint }) });
  }
  return { ports: done.flatMap(({ ports }) => ports), close, retarget: retargeting(container) };
}

/**
 * Holds ports again that an earlier process published. Those that cannot be had are left out and reported: their
 * forwarding rules stay, so that the container goes on as before.
 */
export async function holdAgain(
  ports: readonly PublishedPort[],
  containerAddress: string,
  report: (port: PublishedPort, error: unknown) => void,
): Promise<Publication> {
  const held: PublishedPort[] = [];
  const holders: PortHolder[] = [];
  const container: Target = { address: containerAddress };
  let isClosed = false;
  const holdOne = async (port: PublishedPort): Promise<void> => {
    const holder = await hold(port, container);
    if (isClosed) {
      holder.close();
      return;
    }
    holders.push(holder);
    held.push(port);
    countOwn([port], 1);
  };
  // A program that took it while no daemon held it, perhaps for one connection, gives it back some time.
  const tryLater = (port: PublishedPort): void => {
    setTimeout(() => {
      if (!isClosed) holdOne(port).catch(() => tryLater(port));
    }, holdAgainMs).unref();
  };
  for (const port of ports) {
    try {
      await holdOne(port);
    } catch (error) {
      report(port, error);
      tryLater(port);
    }
  }
  const close = (): void => {
    if (isClosed) return;
    isClosed = true;
    for (const holder of holders) holder.close();
    countOwn(held, -1);
  };
  return { ports, close, retarget: retargeting(container) };
}
