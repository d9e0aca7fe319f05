/** Answers gRPC calls on connections that somebody else has opened. */
import type { ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import { CallStream, type Decoder, type Encoder, type Metadata, metadataOf } from "./call.ts";
import { GrpcError, encodeMessage, grpcCodes, toGrpcError } from "./status.ts";

/** How much may be under way unread: contexts of many megabytes come this way. */
const streamWindowBytes = 4 * 1024 * 1024;
const connectionWindowBytes = 16 * 1024 * 1024;

export type GrpcSettings = { readonly streamWindowBytes: number; readonly connectionWindowBytes: number };
export const grpcSettings: GrpcSettings = { streamWindowBytes, connectionWindowBytes };

export class ServerCall<In, Out> extends CallStream<In, Out> {
  /** Tells the outcome; what was sent before goes first. */
  finishWith(outcome: GrpcError | undefined): void {
    this.flush();
    const stream = this.stream as ServerHttp2Stream;
    if (stream.destroyed || stream.writableEnded) return;
    stream.on("wantTrailers", () => {
      stream.sendTrailers({
        "grpc-status": String(outcome?.code ?? grpcCodes.ok),
        ...(outcome === undefined ? {} : { "grpc-message": encodeMessage(outcome.message) }),
        ...(outcome?.details === undefined
          ? {}
          : { "grpc-status-details-bin": Buffer.from(outcome.details).toString("base64") }),
      });
    });
    stream.end();
    // Whoever has the outcome sends no more; what is still under way is read and dropped.
    stream.resume();
  }
}

export interface MethodHandler<In = unknown, Out = unknown> {
  readonly incoming: Decoder<In>;
  readonly outgoing: Encoder<Out>;
  /** The call ends when this does; what it throws is the outcome. */
  handle(call: ServerCall<In, Out>): Promise<void>;
}

/** A call of one message and one answer. */
export function unary<In, Out>(
  codecs: { readonly incoming: Decoder<In>; readonly outgoing: Encoder<Out> },
  answer: (
    request: In,
    call: { readonly metadata: Metadata; readonly signal: AbortSignal },
  ) => Promise<Out> | Out,
): MethodHandler<In, Out> {
  return {
    ...codecs,
    async handle(call) {
      const request = await call.receive();
      if (request === undefined) throw new GrpcError(grpcCodes.internal, "the call has no message");
      call.send(await answer(request, call));
    },
  };
}

/** A call of one message and many answers. */
export function serverStreaming<In, Out>(
  codecs: { readonly incoming: Decoder<In>; readonly outgoing: Encoder<Out> },
  answer: (request: In, call: ServerCall<In, Out>) => Promise<void>,
): MethodHandler<In, Out> {
  return {
    ...codecs,
    async handle(call) {
      const request = await call.receive();
      if (request === undefined) throw new GrpcError(grpcCodes.internal, "the call has no message");
      await answer(request, call);
    },
  };
}

/** Handlers by path (`/package.Service/Method`). */
export type MethodTable = ReadonlyMap<string, MethodHandler<never, never>>;

/** Puts a handler of any messages into a table. */
export function method<In, Out>(
  path: string,
  handler: MethodHandler<In, Out>,
): [string, MethodHandler<never, never>] {
  return [path, handler as unknown as MethodHandler<never, never>];
}

export interface GrpcServerOptions {
  readonly methods: MethodTable;
  /** Told of what handlers throw that is no expected failure. */
  readonly onFault?: (path: string, error: unknown) => void;
}

/** A server for one table of methods. It listens nowhere: {@link serve} takes connections. */
export class GrpcServer {
  readonly #options: GrpcServerOptions;

  constructor(options: GrpcServerOptions) {
    this.#options = options;
  }

  /** Speaks HTTP/2 on a connection until either side ends it. */
  async serve(connection: Duplex): Promise<void> {
    // Loaded with the first connection: a daemon that builds nothing does without its megabytes.
    const { performServerHandshake } = process.getBuiltinModule("node:http2");
    const session = performServerHandshake(connection, {
      settings: { initialWindowSize: streamWindowBytes, maxConcurrentStreams: 1000 },
    });
    session.on("connect", () => session.setLocalWindowSize(connectionWindowBytes));
    session.on("error", () => {});
    // Where connections may be half-open, the end of the other side's half is the end of it all.
    connection.on("end", () => connection.destroy());
    session.on("stream", (stream, headers, _flags, rawHeaders) => {
      void this.#answer(stream, String(headers[":path"]), rawHeaders);
    });
    await new Promise<void>((resolve) => void session.once("close", resolve));
  }

  async #answer(stream: ServerHttp2Stream, path: string, rawHeaders: readonly string[]): Promise<void> {
    const handler = this.#options.methods.get(path) as MethodHandler | undefined;
    const codecs = handler ?? {
      incoming: { decode: () => undefined },
      outgoing: { encode: () => Buffer.alloc(0) },
    };
    const call = new ServerCall<unknown, unknown>(stream, metadataOf(rawHeaders), codecs);
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    try {
      if (handler === undefined) throw new GrpcError(grpcCodes.unimplemented, `unknown method ${path}`);
      await handler.handle(call);
      call.finishWith(undefined);
    } catch (error) {
      const outcome = toGrpcError(error);
      if (outcome.code === grpcCodes.unknown && !call.signal.aborted) this.#options.onFault?.(path, error);
      call.finishWith(outcome);
    }
  }
}
