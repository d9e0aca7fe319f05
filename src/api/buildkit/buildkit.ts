/**
 * BuildKit's protocol: `POST /session`, on which the daemon calls the client, and `POST /grpc`, on which the client calls
 * the daemon. Both are HTTP/2 on a connection that began as HTTP/1.1 and was upgraded to `h2c`.
 */
import type { Duplex } from "node:stream";
import { invalidArgument } from "../../base/errors.ts";
import { GrpcServer, method, unary } from "../../base/grpc/server.ts";
import type { log as daemonLog } from "../../base/log.ts";
import type { Builder } from "../../build/build.ts";
import { healthCheckPath, healthCheckRequest, healthCheckResponse } from "../../wire/buildkit/session.ts";
import type { Exchange } from "../exchange.ts";
import { takeConnection } from "../hijack.ts";
import { bridgeMethods } from "./bridge.ts";
import { BuildRecords } from "./build-record.ts";
import { type ClientSession, SessionRegistry, sessionFromHeaders } from "./client-session.ts";
import { controlMethods } from "./control.ts";
import { Solver } from "./solve.ts";
import { type HostGateway, workers } from "./workers.ts";

const serving = 1;

export class BuildKit {
  readonly #sessions = new SessionRegistry();
  readonly #server: GrpcServer;

  constructor(builder: Builder, log: typeof daemonLog, hostGateway: HostGateway) {
    const listWorkers = (): ReturnType<typeof workers> => workers(hostGateway, builder.gcRules);
    const records = new BuildRecords();
    const solver = new Solver({ builder, sessions: this.#sessions, records });
    this.#server = new GrpcServer({
      methods: new Map([
        ...controlMethods(solver, records, builder, listWorkers),
        ...bridgeMethods(solver, listWorkers),
        method(
          healthCheckPath,
          unary({ incoming: healthCheckRequest, outgoing: healthCheckResponse }, () => ({ status: serving })),
        ),
      ]),
      onFault: (path, error) => log.debug("call failed", { path, error }),
    });
  }

  /** The client's session of that id, when it comes soon. Throws `unavailable`. */
  session(id: string, signal: AbortSignal): Promise<ClientSession> {
    return this.#sessions.get(id, signal);
  }

  /** `POST /session`. */
  async serveSession(exchange: Exchange): Promise<void> {
    const { rawHeaders } = exchange.request;
    const stream = upgradeToHttp2(exchange);
    let session: ClientSession;
    try {
      session = sessionFromHeaders(rawHeaders, stream);
    } catch (error) {
      throw invalidArgument("this connection cannot speak HTTP/2", { cause: error });
    }
    exchange.signal.addEventListener("abort", () => session.connection.close(), { once: true });
    await this.#sessions.serve(session);
  }

  /** `POST /grpc`. */
  async serveCalls(exchange: Exchange): Promise<void> {
    const stream = upgradeToHttp2(exchange);
    exchange.signal.addEventListener("abort", () => stream.destroy(), { once: true });
    await this.#server.serve(stream);
  }
}

/** Makes the connection HTTP/2. Throws `invalidArgument` when the client did not ask for that. */
function upgradeToHttp2(exchange: Exchange): Duplex {
  const asked = exchange.request.headers.upgrade;
  if (exchange.upgrade === undefined || asked?.toLowerCase() !== "h2c")
    throw invalidArgument("this path speaks HTTP/2 alone: the request must have the header Upgrade: h2c");
  const { stream, head } = takeConnection(exchange);
  stream.write("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
  if (head.length > 0) stream.unshift(head);
  return stream;
}
