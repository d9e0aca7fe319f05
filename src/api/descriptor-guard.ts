/**
 * A daemon that is out of descriptors cannot even say so: a connection that gets none is just closed by the kernel's
 * queue. So the last ones are kept for what goes on inside (exits, clean-up, restarts), and requests that come on a
 * connection out of these are refused in words.
 */
import { readdirSync } from "node:fs";
import type { Socket } from "node:net";
import { EngineError } from "../base/errors.ts";
import { machineFault } from "../base/machine-fault.ts";
import type { Route } from "./exchange.ts";

const mostKept = 64;
/** For how long a count of the open descriptors is believed, ms. */
const countedForMs = 1_000;

/** What tells how the daemon is, and what ends something, is answered in any case. */
const always = new Set([
  "GET /_ping",
  "HEAD /_ping",
  "GET /version",
  "GET /info",
  "GET /containers/json",
  "GET /containers/{id}/json",
  "POST /containers/{id}/stop",
  "POST /containers/{id}/kill",
  "DELETE /containers/{id...}",
]);

export class DescriptorGuard {
  readonly #limit: () => number;
  /** Connections that came when nearly all descriptors were in use, as long as they are open. */
  readonly #late = new Set<object>();
  readonly #countOpen: () => number;
  readonly #nowMs: () => number;
  #isShort = false;
  #countedAtMs = 0;

  /** `limit` tells how many files the daemon may have open now, `countOpen` how many it has. */
  constructor(limit: () => number, countOpen = openDescriptors, nowMs = () => performance.now()) {
    this.#limit = limit;
    this.#countOpen = countOpen;
    this.#nowMs = nowMs;
  }

  /**
   * Looks at a new connection. The kernel gives the lowest number that is free, so its number says how many are in use.
   */
  watch(socket: Socket): void {
    const { fd = -1 } = (socket as { _handle?: { fd?: number } })._handle ?? {};
    if (fd < this.#mostUsed()) return;
    this.#late.add(socket);
    this.#noteShort(true);
    socket.once("close", () => this.#late.delete(socket));
  }

  /** A connection that should not be kept for a next request. */
  isLate(socket: object): boolean {
    return this.#late.has(socket);
  }

  /** Throws `unavailable` while the daemon is nearly out of descriptors. */
  check(route: Route): void {
    if (this.#late.size === 0 || always.has(`${route.method} ${route.path}`)) return;
    // A late connection may stay for long after the others have gone.
    if (this.#nowMs() - this.#countedAtMs >= countedForMs)
      this.#noteShort(this.#countOpen() >= this.#mostUsed());
    if (!this.#isShort) return;
    throw new EngineError(
      "unavailable",
      `too many open files: the daemon has nearly all of the ${this.#limit()} that it may have, and keeps the rest for the containers that run`,
      { hint: machineFault("EMFILE")!.hint },
    );
  }

  /** From so many on the rest is kept. */
  #mostUsed(): number {
    const limit = this.#limit();
    return limit - Math.min(mostKept, limit / 4);
  }

  #noteShort(isShort: boolean): void {
    this.#isShort = isShort;
    this.#countedAtMs = this.#nowMs();
  }
}

function openDescriptors(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    // There is not one left to count with.
    return Number.POSITIVE_INFINITY;
  }
}
