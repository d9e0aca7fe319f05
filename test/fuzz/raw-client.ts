/** Sends bytes to the daemon's socket as they are, and reads what comes back as far as it is HTTP. */
import { connect, type Socket } from "node:net";

export interface RawAnswer {
  /** 0: the connection ended without a status line. */
  readonly status: number;
  readonly head: string;
  readonly body: string;
  /** What ended the exchange: the whole answer, the other side, or our own patience. */
  readonly end: "answered" | "closed" | "waited";
}

export interface SendOptions {
  /** How long to wait for the answer's head. */
  readonly answerMs: number;
  /** How long an answer that has begun and does not end is read. */
  readonly bodyMs?: number;
  /** True: our side is ended after the last piece. */
  readonly halfClose?: boolean;
  /** True: the connection is torn down after the last piece, without waiting. */
  readonly leave?: boolean;
  /** Sent when the answer says 101 or 200. */
  readonly afterUpgrade?: Buffer;
}

const maxBodyBytes = 256 * 1024;

/** Writes the pieces, each in a write of its own. Never rejects for what the daemon does; rejects when nobody listens. */
export async function send(
  socketPath: string,
  pieces: readonly Buffer[],
  options: SendOptions,
): Promise<RawAnswer> {
  const socket = await open(socketPath);
  try {
    for (const piece of pieces) {
      if (socket.destroyed) break;
      socket.write(piece);
      // Pieces must leave one by one: a turn of the loop each.
      if (pieces.length > 1) await new Promise((resolve) => setImmediate(resolve));
    }
    if (options.leave === true) return { status: 0, head: "", body: "", end: "waited" };
    if (options.halfClose === true) socket.end();
    return await new Promise<RawAnswer>((resolve) => readAnswer(socket, options, resolve));
  } finally {
    socket.destroy();
  }
}

/** A connection to the socket. Rejects when it is refused. */
export function open(socketPath: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: socketPath, allowHalfOpen: true });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      // A reset is one of the answers.
      socket.on("error", () => {});
      resolve(socket);
    });
  });
}

function readAnswer(socket: Socket, options: SendOptions, resolve: (answer: RawAnswer) => void): void {
  let received = Buffer.alloc(0);
  let headEnd = -1;
  let timer = setTimeout(() => finish("waited"), options.answerMs);
  const finish = (end: RawAnswer["end"]): void => {
    clearTimeout(timer);
    socket.removeAllListeners("data");
    resolve({ ...parse(received, headEnd), end });
  };
  socket.on("data", (chunk: Buffer) => {
    if (received.length < maxBodyBytes) received = Buffer.concat([received, chunk]);
    if (headEnd < 0) {
      headEnd = received.indexOf("\r\n\r\n");
      // An interim answer is none.
      while (headEnd >= 0 && received.subarray(0, 12).toString("latin1") === "HTTP/1.1 100") {
        received = received.subarray(headEnd + 4);
        headEnd = received.indexOf("\r\n\r\n");
      }
      if (headEnd < 0) return;
      clearTimeout(timer);
      timer = setTimeout(() => finish("waited"), options.bodyMs ?? 250);
      const { status } = parse(received, headEnd);
      if (options.afterUpgrade !== undefined && (status === 101 || status === 200)) {
        socket.write(options.afterUpgrade);
        socket.end();
      }
    }
    if (isWhole(received, headEnd)) finish("answered");
  });
  socket.once("end", () => finish("closed"));
  socket.once("close", () => finish("closed"));
}

function parse(received: Buffer, headEnd: number): Omit<RawAnswer, "end"> {
  if (headEnd < 0) return { status: 0, head: received.toString("latin1"), body: "" };
  const head = received.subarray(0, headEnd).toString("latin1");
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1] ?? 0);
  return { status, head, body: received.subarray(headEnd + 4).toString("utf8") };
}

/** True when the answer's own length, or the last chunk, says that this is all. */
function isWhole(received: Buffer, headEnd: number): boolean {
  const { status, head } = parse(received, headEnd);
  if (status === 204 || status === 304) return true;
  const length = /^content-length: (\d+)/im.exec(head)?.[1];
  if (length !== undefined) return received.length >= headEnd + 4 + Number(length);
  return (
    /^transfer-encoding: chunked/im.test(head) && received.subarray(-5).toString("latin1") === "0\r\n\r\n"
  );
}
