/** Sessions: what a building client offers to the daemon while it builds (BuildKit, session/). */
import type { Duplex } from "node:stream";
import { EngineError } from "../../base/errors.ts";
import { GrpcConnection } from "../../base/grpc/client.ts";
import { sessionHeaders } from "../../wire/buildkit/session.ts";

/** How long a call waits for the session that it names: both come over connections of their own. */
const arrivalTimeoutMs = 15_000;

/** One client's connection, on which the daemon is the caller. */
export class ClientSession {
  readonly id: string;
  /** The same for the same directory of the same client in each build; empty when the client keeps none. */
  readonly sharedKey: string;
  readonly connection: GrpcConnection;
  readonly #methods: ReadonlySet<string>;

  constructor(
    about: { readonly id: string; readonly sharedKey: string; readonly methods: readonly string[] },
    stream: Duplex,
  ) {
    this.id = about.id;
    this.sharedKey = about.sharedKey;
    this.#methods = new Set(about.methods.map((method) => method.toLowerCase()));
    this.connection = new GrpcConnection(stream);
  }

  /** Whether the client serves a method (`/package.Service/Method`). */
  serves(path: string): boolean {
    return this.#methods.has(path.toLowerCase());
  }
}

/** Reads the headers of `POST /session`: as node:http has them, names and values in turn. */
export function sessionFromHeaders(rawHeaders: readonly string[], stream: Duplex): ClientSession {
  const values = (name: string): string[] => {
    const found: string[] = [];
    for (let at = 0; at + 1 < rawHeaders.length; at += 2)
      if (rawHeaders[at]!.toLowerCase() === name.toLowerCase()) found.push(rawHeaders[at + 1]!);
    return found;
  };
  return new ClientSession(
    {
      id: values(sessionHeaders.id)[0] ?? "",
      sharedKey: values(sessionHeaders.sharedKey)[0] ?? "",
      methods: values(sessionHeaders.method).flatMap((value) => value.split(/,\s*/)),
    },
    stream,
  );
}

export class SessionRegistry {
  readonly #sessions = new Map<string, ClientSession>();
  readonly #waiting = new Map<string, Set<() => void>>();

  /** Keeps a session until its connection is gone. */
  async serve(session: ClientSession): Promise<void> {
    this.#sessions.set(session.id, session);
    for (const wake of this.#waiting.get(session.id) ?? []) wake();
    const { signal } = session.connection;
    if (!signal.aborted)
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    if (this.#sessions.get(session.id) === session) this.#sessions.delete(session.id);
  }

  /** The session of an id, when it comes soon. Throws `unavailable`. */
  async get(id: string, signal: AbortSignal): Promise<ClientSession> {
    const present = this.#sessions.get(id);
    if (present !== undefined) return present;
    const waiting = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, waiting);
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, arrivalTimeoutMs);
    const wake = (): void => resolve();
    waiting.add(wake);
    signal.addEventListener("abort", wake, { once: true });
    await promise;
    clearTimeout(timer);
    signal.removeEventListener("abort", wake);
    waiting.delete(wake);
    if (waiting.size === 0) this.#waiting.delete(id);
    const session = this.#sessions.get(id);
    if (session === undefined)
      throw new EngineError(
        "unavailable",
        `no active session for ${id}: the client has not opened it, or is gone`,
      );
    return session;
  }

  /** Ends all of them. */
  close(): void {
    for (const session of this.#sessions.values()) session.connection.close();
  }
}
