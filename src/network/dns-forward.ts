/**
 * Passing a query on to other name servers, byte for byte: each in turn, by the protocol that the query came by, from
 * the network namespace in which the server can be reached.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { isIPv6, Socket } from "node:net";
import { openInetSocket } from "../linux/inet-socket.ts";
import { inNetns } from "../linux/netns.ts";

export interface UpstreamServer {
  readonly address: string;
  readonly port: number;
  /** File of the network namespace to ask from; undefined for the host's. */
  readonly netns: string | undefined;
}

export type DnsProtocol = "udp" | "tcp";

/** Of each server. */
const answerTimeoutMs = 4_000;
const maxServers = 3;
const SERVFAIL = 2;
const REFUSED = 5;
const headerBytes = 12;

const responseCode = (message: Buffer): number => message[3]! & 0xf;

/**
 * The first useful answer. What a server cannot tell (SERVFAIL, REFUSED) the next one is asked, and the last such answer
 * is passed on when none can. Undefined when nobody answers.
 */
export async function forwardQuery(
  query: Buffer,
  servers: readonly UpstreamServer[],
  protocol: DnsProtocol,
): Promise<Buffer | undefined> {
  let last: Buffer | undefined;
  for (const server of servers.slice(0, maxServers)) {
    let answer: Buffer;
    try {
      answer = protocol === "udp" ? await askByUdp(query, server) : await askByTcp(query, server);
    } catch {
      continue;
    }
    const code = responseCode(answer);
    if (code !== SERVFAIL && code !== REFUSED) return answer;
    last = answer;
  }
  return last;
}

/** Whether it is an answer to the query, and not to somebody's guess. */
function isAnswerTo(answer: Buffer, query: Buffer): boolean {
  return (
    answer.length >= headerBytes &&
    answer.readUInt16BE(0) === query.readUInt16BE(0) &&
    (answer[2]! & 0x80) !== 0
  );
}

async function openUdp({ address, netns }: UpstreamServer): Promise<UdpSocket> {
  const v6 = isIPv6(address);
  const socket = createSocket(v6 ? "udp6" : "udp4");
  if (netns === undefined) return socket;
  // A port of its own for each query: whoever wants to forge an answer has to guess it.
  const { fd } = inNetns(netns, () =>
    openInetSocket({ kind: "udp", address: v6 ? "::" : "0.0.0.0", port: 0 }),
  );
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("listening", resolve);
  socket.once("error", reject);
  socket.bind({ fd });
  await promise;
  socket.off("error", reject);
  return socket;
}

async function askByUdp(query: Buffer, server: UpstreamServer): Promise<Buffer> {
  const socket = await openUdp(server);
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const timer = setTimeout(() => reject(new Error("no answer")), answerTimeoutMs);
  try {
    socket.on("error", reject);
    socket.on("message", (message, from) => {
      if (from.port === server.port && isAnswerTo(message, query)) resolve(message);
    });
    socket.send(query, server.port, server.address, (error) => {
      if (error !== null) reject(error);
    });
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.close();
  }
}

function openTcp({ address, netns }: UpstreamServer): Socket {
  if (netns === undefined) return new Socket();
  const { fd } = inNetns(netns, () =>
    openInetSocket({ kind: "tcp", address: isIPv6(address) ? "::" : "0.0.0.0", port: 0 }),
  );
  // manualStart: there is nothing to be read before it is connected.
  return new Socket({ fd, readable: true, writable: true, manualStart: true } as object);
}

async function askByTcp(query: Buffer, server: UpstreamServer): Promise<Buffer> {
  const socket = openTcp(server);
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const timer = setTimeout(() => reject(new Error("no answer")), answerTimeoutMs);
  try {
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("it hung up")));
    readMessages(socket, (message) => {
      if (isAnswerTo(message, query)) resolve(message);
    });
    socket.connect({ host: server.address, port: server.port });
    socket.write(withLength(query));
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/** A message as it goes over TCP: two bytes of length before it (RFC 1035, 4.2.2). */
export function withLength(message: Buffer): Buffer {
  const framed = Buffer.allocUnsafe(message.length + 2);
  framed.writeUInt16BE(message.length, 0);
  message.copy(framed, 2);
  return framed;
}

/** Calls `onMessage` for each message that comes over a TCP connection. */
export function readMessages(socket: Socket, onMessage: (message: Buffer) => void): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    while (pending.length >= 2) {
      const size = pending.readUInt16BE(0);
      if (pending.length < 2 + size) return;
      const message = pending.subarray(2, 2 + size);
      pending = pending.subarray(2 + size);
      onMessage(message);
    }
  });
}
