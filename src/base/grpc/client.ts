/** Calls gRPC methods of whoever is at the other end of a connection. */
import type { OutgoingHttpHeaders } from "node:http";
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import { CallStream, type Decoder, type Encoder, type Metadata } from "./call.ts";
import { grpcSettings } from "./server.ts";
import { GrpcError, decodeMessage, fromGrpcError, grpcCodes } from "./status.ts";

/** A method with its messages, seen from the caller. */
export interface MethodOf<Request, Response> {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly request: Encoder<Request>;
  readonly response: Decoder<Response>;
}

export interface CallOptions {
  readonly metadata?: Metadata;
  readonly signal?: AbortSignal;
}

export class ClientCall<In, Out> extends CallStream<In, Out> {
  /** Resolves to the answer's outcome: undefined for OK. */
  readonly outcome: Promise<GrpcError | undefined>;

  constructor(
    stream: ClientHttp2Stream,
    codecs: { readonly incoming: Decoder<In>; readonly outgoing: Encoder<Out> },
  ) {
    super(stream, new Map(), codecs);
    let head: Record<string, unknown> = {};
    let trailers: Record<string, unknown> | undefined;
    stream.on("response", (headers) => (head = headers));
    stream.on("trailers", (headers) => (trailers = headers));
    let fault: Error | undefined;
    stream.on("error", (error: Error) => (fault = error));
    this.outcome = new Promise((resolve) => {
      const settle = (): void => {
        // An answer without messages has its outcome in the head.
        const outcome = outcomeOf(trailers ?? head, fault, stream.rstCode);
        this.finish(outcome);
        resolve(outcome);
      };
      stream.on("end", () => setImmediate(settle));
      stream.on("close", settle);
    });
  }

  /** No more messages from this side. */
  end(): void {
    this.flush();
    if (!this.stream.destroyed) this.stream.end();
  }

  /** Breaks the call off; the other side sees that it was canceled. */
  cancel(): void {
    if (!this.stream.destroyed) this.stream.close(8);
  }

  /** Waits for the outcome. Throws `EngineError` when it is not OK. */
  async done(): Promise<void> {
    const outcome = await this.outcome;
    if (outcome !== undefined) throw fromGrpcError(outcome);
  }
}

function outcomeOf(
  headers: Record<string, unknown>,
  fault: Error | undefined,
  resetCode: number | undefined,
): GrpcError | undefined {
  const status = headers["grpc-status"];
  if (status === undefined) {
    const http = headers[":status"];
    if (typeof http === "number" && http !== 200)
      return new GrpcError(grpcCodes.unavailable, `the call was answered with HTTP status ${http}`);
    return resetCode === 8
      ? new GrpcError(grpcCodes.canceled, "the call was canceled")
      : new GrpcError(
          grpcCodes.unavailable,
          fault?.message ?? "the connection ended in the middle of the call",
        );
  }
  const code = Number(status);
  if (code === grpcCodes.ok) return undefined;
  const message = headers["grpc-message"];
  const details = headers["grpc-status-details-bin"];
  return new GrpcError(
    code,
    typeof message === "string" ? decodeMessage(message) : "",
    typeof details === "string" ? { details: Buffer.from(details, "base64") } : {},
  );
}

/** The calling side of a connection. */
export class GrpcConnection implements Disposable {
  /** Aborted when the connection is gone. */
  readonly signal: AbortSignal;
  readonly #session: ClientHttp2Session;

  /** Takes the connection over. */
  constructor(connection: Duplex) {
    const abort = new AbortController();
    this.signal = abort.signal;
    // As in server.ts: loaded when it is needed.
    const { connect } = process.getBuiltinModule("node:http2");
    this.#session = connect("http://localhost", {
      createConnection: () => connection,
      settings: { initialWindowSize: grpcSettings.streamWindowBytes, enablePush: false },
    });
    this.#session.on("connect", () => this.#session.setLocalWindowSize(grpcSettings.connectionWindowBytes));
    this.#session.on("error", () => {});
    // Where connections may be half-open, the end of the other side's half is the end of it all.
    connection.on("end", () => connection.destroy());
    this.#session.on("close", () => abort.abort());
  }

  get closed(): boolean {
    return this.#session.closed || this.#session.destroyed;
  }

  /** Starts a call with messages in both directions. */
  open<Request, Response>(
    method: MethodOf<Request, Response>,
    options: CallOptions = {},
  ): ClientCall<Response, Request> {
    if (this.closed) throw fromGrpcError(new GrpcError(grpcCodes.unavailable, "the connection is closed"));
    const headers: OutgoingHttpHeaders = {
      ":method": "POST",
      ":path": method.path,
      "content-type": "application/grpc",
      te: "trailers",
    };
    for (const [name, values] of options.metadata ?? []) headers[name] = [...values];
    const stream = this.#session.request(headers);
    const call = new ClientCall<Response, Request>(stream, {
      incoming: method.response,
      outgoing: method.request,
    });
    const { signal } = options;
    if (signal !== undefined) {
      const cancel = (): void => call.cancel();
      if (signal.aborted) cancel();
      signal.addEventListener("abort", cancel, { once: true });
      stream.on("close", () => signal.removeEventListener("abort", cancel));
    }
    return call;
  }

  /** One message, one answer. Throws `EngineError`. */
  async call<Request, Response>(
    method: MethodOf<Request, Response>,
    request: Request,
    options: CallOptions = {},
  ): Promise<Response> {
    const call = this.open(method, options);
    call.send(request);
    call.end();
    let response: Response | undefined;
    try {
      response = await call.receive();
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
    }
    await call.done();
    if (response === undefined)
      throw fromGrpcError(new GrpcError(grpcCodes.internal, `${method.path} answered nothing`));
    return response;
  }

  /** Ends the connection at once. */
  close(): void {
    this.#session.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
