/**
 * A port of the host that belongs to a container: the bound socket keeps other programs off it. Packets are translated by
 * nftables before they reach the socket; what does reach it (IPv6 for a container that has IPv4 alone, and everything
 * when firewall rules are not ours to make) is passed on to the container here.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { connect, createServer, isIPv6, type Server, type Socket } from "node:net";
import { openInetSocket } from "../linux/inet-socket.ts";

export interface PortTarget {
  /** Empty when nothing is passed on. */
  readonly address: string;
  readonly port: number;
}

export interface PortHolder {
  readonly port: number;
  /** Frees the port at once and ends the connections that go through it. */
  close(): void;
}

export interface HoldRequest {
  readonly hostIp: string;
  /** 0 for one of the kernel's ephemeral range. */
  readonly hostPort: number;
  readonly target: PortTarget;
}

const udpIdleMs = 90_000;
const maxUdpClients = 1024;

/**
 * The descriptor of a socket that takes packets of the loopback device alone, for an address of 127.0.0.0/8; undefined for
 * others, which Node.js opens itself. A host with `route_localnet` takes packets for these addresses from wires, too:
 * the firewall drops them, but its rules may be somebody else's business, or flushed a moment ago.
 */
function openLoopback(kind: "tcp" | "udp", { hostIp, hostPort }: HoldRequest): number | undefined {
  if (!hostIp.startsWith("127.")) return undefined;
  return openInetSocket({ kind, address: hostIp, port: hostPort, listen: kind === "tcp", device: "lo" }).fd;
}

/** Binds and listens. Rejects with an error whose `code` is EADDRINUSE, EADDRNOTAVAIL … */
export async function holdTcp(request: HoldRequest): Promise<PortHolder> {
  const { hostIp, hostPort, target } = request;
  const fd = openLoopback("tcp", request);
  const open = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (client) =>
    passOn(client, target, open),
  );
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  const address = { host: hostIp, port: hostPort, ipv6Only: isIPv6(hostIp), exclusive: true };
  server.listen(fd === undefined ? address : { fd }, resolve);
  await promise;
  server.on("error", () => {});
  server.unref();
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound !== null ? bound.port : hostPort,
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

function passOn(client: Socket, target: PortTarget, open: Set<Socket>): void {
  if (target.address === "") {
    client.resetAndDestroy();
    return;
  }
  const container = connect({ host: target.address, port: target.port, allowHalfOpen: true, noDelay: true });
  for (const [socket, other] of [
    [client, container],
    [container, client],
  ] as const) {
    open.add(socket);
    // A reset, or nobody listening in the container, is passed on as a reset.
    socket.on("error", () => other.resetAndDestroy());
    socket.on("close", () => {
      open.delete(socket);
      if (!other.writableEnded) other.end();
    });
    socket.pipe(other);
  }
}

interface UdpClient {
  readonly socket: UdpSocket;
  lastUsedMs: number;
}

/** Binds a UDP port. Rejects as {@link holdTcp} does. */
export async function holdUdp(request: HoldRequest): Promise<PortHolder> {
  const { hostIp, hostPort, target } = request;
  const fd = openLoopback("udp", request);
  const isV6 = isIPv6(hostIp);
  const server = createSocket({ type: isV6 ? "udp6" : "udp4", ipv6Only: isV6 });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.bind(fd === undefined ? { address: hostIp, port: hostPort, exclusive: true } : { fd }, resolve);
  try {
    await promise;
  } catch (error) {
    server.close();
    throw error;
  }
  server.off("error", reject);
  server.on("error", () => {});
  server.unref();
  const close = relayUdp(server, target);
  return { port: server.address().port, close };
}

/** Gives each client a socket of its own towards the container, so that answers find their way back. */
function relayUdp(server: UdpSocket, target: PortTarget): () => void {
  const clients = new Map<string, UdpClient>();
  const drop = (key: string): void => {
    clients.get(key)?.socket.close();
    clients.delete(key);
  };
  server.on("message", (data, from) => {
    if (target.address === "") return;
    const key = `${from.address} ${from.port}`;
    let client = clients.get(key);
    if (client === undefined) {
      const oldest = clients.size >= maxUdpClients ? clients.keys().next().value : undefined;
      if (oldest !== undefined) drop(oldest);
      const socket = createSocket(isIPv6(target.address) ? "udp6" : "udp4");
      socket.unref();
      socket.on("error", () => {});
      socket.on("message", (answer) => server.send(answer, from.port, from.address, () => {}));
      client = { socket, lastUsedMs: 0 };
      clients.set(key, client);
    }
    client.lastUsedMs = performance.now();
    client.socket.send(data, target.port, target.address, () => {});
  });
  const sweep = setInterval(() => {
    const before = performance.now() - udpIdleMs;
    for (const [key, client] of clients) if (client.lastUsedMs < before) drop(key);
  }, udpIdleMs / 3);
  sweep.unref();
  return () => {
    clearInterval(sweep);
    server.close();
    for (const key of clients.keys()) drop(key);
  };
}
