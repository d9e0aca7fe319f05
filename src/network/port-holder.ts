/**
 * A port of the host that belongs to a container: the bound socket keeps other programs off it. Packets are translated by
 * nftables before they reach the socket; what does reach it (IPv6 for a container that has IPv4 alone, and everything
 * when firewall rules are not ours to make) is passed on to the container here.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { connect, createServer, isIPv6, type Server, type Socket } from "node:net";

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

/** Binds and listens. Rejects with Node's error (`code` EADDRINUSE, EADDRNOTAVAIL …). */
export async function holdTcp({ hostIp, hostPort, target }: HoldRequest): Promise<PortHolder> {
  const open = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (client) =>
    passOn(client, target, open),
  );
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ host: hostIp, port: hostPort, ipv6Only: isIPv6(hostIp), exclusive: true }, resolve);
  await promise;
  server.on("error", () => {});
  server.unref();
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : hostPort,
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

/** Binds a UDP port. Rejects with Node's error. */
export async function holdUdp({ hostIp, hostPort, target }: HoldRequest): Promise<PortHolder> {
  const isV6 = isIPv6(hostIp);
  const server = createSocket({ type: isV6 ? "udp6" : "udp4", ipv6Only: isV6 });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.bind({ address: hostIp, port: hostPort, exclusive: true }, resolve);
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
