/**
 * What a client is still sending when its request is answered already: a body that was refused, a copy that failed in its
 * middle. It is read and dropped, since many clients look at the answer only when they have sent everything; but not for
 * ever, and not from a client that neither sends nor goes.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { closeGracefully } from "./hijack.ts";

export interface DropLimits {
  /** The longest time without a byte of it. */
  readonly idleMs: number;
  readonly totalMs: number;
}

const usualLimits: DropLimits = { idleMs: 5_000, totalMs: 60_000 };

/** A rest that is surely no longer than this is worth the connection, which can take the next request after it. */
const smallBytes = 256 * 1024;

/** True when the connection shall end with the answer, since much may be left of the request's body. */
export function isMuchLeft(request: IncomingMessage): boolean {
  if (request.complete) return false;
  const { "transfer-encoding": encoding, "content-length": length } = request.headers;
  return encoding !== undefined || Number(length ?? 0) > smallBytes;
}

/**
 * Drops the rest of a request's body. With `Connection: close` the connection is half-closed after the answer, and closed
 * when the client has closed its side; when the limits are over, in any case. Node would close it at once, and input
 * that nobody has read then resets it, before the client could read the answer.
 */
export function dropRest(
  request: IncomingMessage,
  response: ServerResponse,
  limits: DropLimits = usualLimits,
): void {
  if (request.complete || request.destroyed) return;
  const { socket } = request;
  const timers: NodeJS.Timeout[] = [];
  for (const event of ["readable", "data"]) request.removeAllListeners(event);
  request.on("data", () => timers[0]?.refresh());
  request.once("close", () => timers.forEach(clearTimeout));
  if (!response.shouldKeepAlive)
    socket.destroySoon = () => {
      if (request.complete) closeGracefully(socket);
      else {
        socket.end();
        request.once("end", () => closeGracefully(socket));
      }
    };
  // A client that is slow to read its answer has not been given all of it yet.
  const begin = (): void => {
    if (request.complete || request.destroyed) return;
    const end = (): void => void socket.destroy();
    timers.push(setTimeout(end, limits.idleMs).unref(), setTimeout(end, limits.totalMs).unref());
  };
  if (response.writableFinished) begin();
  else response.once("finish", begin);
  request.resume();
}
