/**
 * A daemon that is out of descriptors cannot even say so: a connection that gets none is just closed by the kernel's
 * queue. So the last ones are kept for what goes on inside (exits, clean-up, restarts), and requests that come on a
 * connection out of these are refused in words.
 */
import type { Socket } from "node:net";
import { EngineError } from "../base/errors.ts";
import { machineFault } from "../base/machine-fault.ts";
import type { Route } from "./exchange.ts";

const mostKept = 64;

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

  /** `limit` tells how many files the daemon may have open now. */
  constructor(limit: () => number) {
    this.#limit = limit;
  }

  /**
   * Looks at a new connection. The kernel gives the lowest number that is free, so its number says how many are in use.
   */
  watch(socket: Socket): void {
    const { fd = -1 } = (socket as { _handle?: { fd?: number } })._handle ?? {};
    const limit = this.#limit();
    if (fd < limit - Math.min(mostKept, limit / 4)) return;
    this.#late.add(socket);
    socket.once("close", () => this.#late.delete(socket));
  }

  /** A connection that should not be kept for a next request. */
  isLate(socket: object): boolean {
    return this.#late.has(socket);
  }

  /** Throws `unavailable` while the daemon is nearly out of descriptors. */
  check(route: Route): void {
    // A low number that has just become free is no sign of plenty while late connections are there.
    if (this.#late.size === 0 || always.has(`${route.method} ${route.path}`)) return;
    throw new EngineError(
      "unavailable",
      `too many open files: the daemon has nearly all of the ${this.#limit()} that it may have, and keeps the rest for the containers that run`,
      { hint: machineFault("EMFILE")!.hint },
    );
  }
}
