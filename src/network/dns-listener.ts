/**
 * Name server sockets inside a container's network namespace. They listen on 127.0.0.11 at a port that the kernel has
 * free, and a rule in the namespace leads port 53 there: so a program in the container may serve names on port 53 itself.
 * On a machine without libnftables (a daemon with --iptables=false needs none) they listen at port 53.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { closeSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { isKind } from "../base/errors.ts";
import { openInetSocket } from "../linux/inet-socket.ts";
import { inNetns } from "../linux/netns.ts";
import { hasNftables, nftInNetns } from "../linux/nftables.ts";
import { type DnsProtocol, readMessages, withLength } from "./dns-forward.ts";

/** Where a container finds its name server. */
export const nameServerAddress = "127.0.0.11";

const table = "gantry_names";
const namesPort = 53;
const tcpIdleMs = 10_000;
const maxTcpConnections = 256;
/** Answers that wait for a client that asks and does not read; until it does, its questions are not read either. */
const maxUnreadBytes = 64 * 1024;

/** Answers one query; undefined for what deserves no answer. */
export type QueryHandler = (query: Buffer, protocol: DnsProtocol) => Promise<Buffer | undefined>;

/** A running pair of sockets. */
export interface DnsListener {
  close(): void;
}

/** The rules that lead port 53 to the sockets, in a namespace that has none yet. */
function redirection(udpPort: number, tcpPort: number): string {
  const to = (protocol: DnsProtocol, port: number): string =>
    `add rule ip ${table} output ip daddr ${nameServerAddress} ${protocol} dport 53 dnat to ${nameServerAddress}:${port}`;
  return `create table ip ${table}
add chain ip ${table} output { type nat hook output priority -100; policy accept; }
${to("udp", udpPort)}
${to("tcp", tcpPort)}`;
}

/**
 * Leads port 53 to these sockets. A namespace that an earlier daemon served has rules of its own, which are replaced; that
 * is not tried first, for the kernel waits some ten milliseconds for every deletion, also of what was made a moment ago.
 */
function redirect(path: string, udpPort: number, tcpPort: number): void {
  const what = "lead a container's queries to its name server";
  const rules = redirection(udpPort, tcpPort);
  try {
    nftInNetns(what, path, rules);
  } catch (error) {
    if (!isKind(error, "alreadyExists")) throw error;
    nftInNetns(what, path, `delete table ip ${table}\n${rules}`);
  }
}

/** Opens the sockets in the namespace that is bound to `path`. Throws when they cannot be had; then nothing is left. */
export async function listenInNetns(path: string, handle: QueryHandler): Promise<DnsListener> {
  const isRedirected = hasNftables();
  const port = isRedirected ? 0 : namesPort;
  const open = (kind: DnsProtocol): { fd: number; port: number } =>
    openInetSocket({ kind, address: nameServerAddress, port, listen: kind === "tcp" });
  const { udp, tcp } = inNetns(path, () => {
    const first = open("udp");
    try {
      return { udp: first, tcp: open("tcp") };
    } catch (error) {
      closeSync(first.fd);
      throw error;
    }
  });
  const datagrams = createSocket("udp4");
  const connections = createServer({ noDelay: true });
  const clients = new Set<Socket>();
  const close = (): void => {
    datagrams.close();
    connections.close();
    for (const socket of clients) socket.destroy();
  };
  serveUdp(datagrams, handle);
  serveTcp(connections, clients, handle);
  try {
    await Promise.all([
      taken(datagrams, () => datagrams.bind({ fd: udp.fd })),
      taken(connections, () => connections.listen({ fd: tcp.fd })),
    ]);
    if (isRedirected) redirect(path, udp.port, tcp.port);
  } catch (error) {
    close();
    throw error;
  }
  datagrams.unref();
  connections.unref();
  return { close };
}

/** Resolves when Node has taken a descriptor over. */
async function taken(server: UdpSocket | Server, start: () => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("listening", resolve);
  server.once("error", reject);
  start();
  await promise;
  server.off("error", reject);
  server.on("error", () => {});
}

function serveUdp(socket: UdpSocket, handle: QueryHandler): void {
  socket.on("message", (query, from) => {
    const answered = async (): Promise<void> => {
      const answer = await handle(query, "udp");
      if (answer === undefined) return;
      try {
        socket.send(answer, from.port, from.address, () => {});
      } catch {
        // The container has gone meanwhile.
      }
    };
    void answered();
  });
}

function serveTcp(server: Server, open: Set<Socket>, handle: QueryHandler): void {
  server.on("connection", (socket) => {
    if (open.size >= maxTcpConnections) {
      socket.destroy();
      return;
    }
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.setTimeout(tcpIdleMs, () => socket.destroy());
    socket.on("drain", () => socket.resume());
    readMessages(socket, (query) => {
      const answered = async (): Promise<void> => {
        const answer = await handle(query, "tcp");
        if (answer === undefined || socket.destroyed) return;
        socket.write(withLength(answer));
        if (socket.writableLength > maxUnreadBytes) socket.pause();
      };
      void answered();
    });
  });
}
