/** Runs the builds that clients ask for, and says what came of them in BuildKit's words. */
import { GrpcError, grpcCodes, toGrpcError } from "../../base/grpc/status.ts";
import { type Builder, type BuildResult, buildFailureOf, type ContextSource } from "../../build/build.ts";
import { type any, status } from "../../wire/buildkit/common.ts";
import { graphSource } from "../../wire/buildkit/graph.ts";
import type { solveRequest } from "../../wire/buildkit/control.ts";
import type { Decoded, Encodable } from "../../wire/protobuf.ts";
import { BuildRecord, type BuildRecords } from "./build-record.ts";
import type { ClientSession, SessionRegistry } from "./client-session.ts";
import { BuiltReferences, OpenReferences, refuseGraph } from "./references.ts";
import { sessionCredentials } from "./session-credentials.ts";
import { sessionSecrets, sessionSsh } from "./session-services.ts";
import { type Exporter, type SolveInput, buildRequest, graphContext } from "./solve-options.ts";

export type SolveMessage = Decoded<typeof solveRequest>;

export interface SolveContext {
  readonly builder: Builder;
  readonly sessions: SessionRegistry;
  readonly records: BuildRecords;
}

/** A Solve that waits for its client to drive the frontend over the bridge, and to return a result. */
export class ClientDrivenSolve {
  readonly input: Omit<SolveInput, "attributes" | "cacheFrom">;
  readonly request: SolveMessage;
  readonly references: OpenReferences;
  readonly returned: Promise<ReadonlyMap<string, string>>;
  readonly #resolve: (response: ReadonlyMap<string, string>) => void;
  readonly #reject: (error: unknown) => void;
  #response: ReadonlyMap<string, string> = new Map();

  constructor(
    request: SolveMessage,
    input: Omit<SolveInput, "attributes" | "cacheFrom">,
    references: OpenReferences,
  ) {
    this.request = request;
    this.input = input;
    this.references = references;
    const { promise, resolve, reject } = Promise.withResolvers<ReadonlyMap<string, string>>();
    this.returned = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    // Whoever asked may be gone before somebody waits.
    promise.catch(() => {});
  }

  /** What the build has put out; told to the client when it returns. */
  setResponse(response: ReadonlyMap<string, string>): void {
    this.#response = new Map([...this.#response, ...response]);
  }

  finish(): void {
    this.#resolve(this.#response);
  }

  fail(error: unknown): void {
    this.#reject(error);
  }
}

export class Solver {
  readonly built = new BuiltReferences();
  readonly #context: SolveContext;
  readonly #driven = new Map<string, ClientDrivenSolve>();
  readonly #arrivals = new Set<(ref: string) => void>();

  constructor(context: SolveContext) {
    this.#context = context;
  }

  get builder(): Builder {
    return this.#context.builder;
  }

  /** `Control.Solve`: builds, or waits for a client that drives the build itself. */
  async solve(request: SolveMessage, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    if (request.Definition !== undefined && request.Definition.def.length > 0) refuseGraph();
    const record = new BuildRecord({
      ref: request.Ref,
      frontendAttributes: request.FrontendAttrs,
      exporters: exportersOf(request),
    });
    this.#context.records.add(record);
    try {
      const session = await this.#context.sessions.get(request.Session, signal);
      // A client that is gone takes nothing any more.
      const gone = AbortSignal.any([signal, session.connection.signal]);
      const input = {
        ref: request.Ref,
        session,
        exporters: record.exporters,
        cacheTo: request.Cache?.Exports ?? [],
        entitlements: request.Entitlements,
        signal: gone,
        onEvent: (event: Parameters<BuildRecord["add"]>[0]) => record.add(event),
      };
      const response =
        request.Frontend === ""
          ? await this.#clientDriven(new ClientDrivenSolve(request, input, this.#referencesFor(input)))
          : await this.#plainBuild(request, input);
      record.complete({ response });
      return response;
    } catch (error) {
      const { code, message } = toGrpcError(error);
      record.complete({ error: { code, message } });
      throw error;
    } finally {
      this.#context.records.tell(record, "complete");
    }
  }

  async #plainBuild(
    request: SolveMessage,
    input: Omit<SolveInput, "attributes" | "cacheFrom">,
  ): Promise<ReadonlyMap<string, string>> {
    const result = await this.build(request.Frontend, {
      ...input,
      attributes: request.FrontendAttrs,
      cacheFrom: request.Cache?.Imports ?? [],
      inputs: this.inputsOf(request.FrontendInputs, input.session),
    });
    return new Map(Object.entries(result.metadata));
  }

  #referencesFor({
    ref,
    session,
    signal,
    onEvent,
  }: Omit<SolveInput, "attributes" | "cacheFrom">): OpenReferences {
    const asked = {
      id: ref,
      signal,
      onEvent,
      credentials: sessionCredentials(session),
      secrets: sessionSecrets(session),
      ssh: sessionSsh(session),
    };
    return new OpenReferences(this.#context.builder, this.built, asked);
  }

  /** Contexts that came as graphs. Throws `notImplemented` for a graph that does more than to name a source. */
  inputsOf(
    graphs: SolveMessage["FrontendInputs"],
    session: ClientSession,
  ): ReadonlyMap<string, ContextSource> {
    return new Map([...graphs].map(([name, graph]) => [name, this.sourceOf(graph, session)]));
  }

  /** What a graph names. Throws `notImplemented` for one that does more. */
  sourceOf(graph: NonNullable<SolveMessage["Definition"]>, session: ClientSession): ContextSource {
    const source = graphSource(graph) ?? refuseGraph();
    return this.built.find(source) ?? graphContext(source, session);
  }

  /** Builds with our one frontend. Throws {@link GrpcError} with the place in the Dockerfile. */
  async build(frontend: string, input: SolveInput): Promise<BuildResult> {
    if (frontend !== "dockerfile.v0" && frontend !== "gateway.v0")
      throw new GrpcError(grpcCodes.notFound, `frontend ${frontend} not found: gantry has dockerfile.v0`);
    try {
      const request = buildRequest(input);
      return await this.#context.builder.build(request);
    } catch (error) {
      throw withDetails(error);
    }
  }

  /** The Solve that a call over the bridge belongs to. Throws {@link GrpcError} when there is none. */
  async driven(ref: string): Promise<ClientDrivenSolve> {
    const found = this.#driven.get(ref);
    if (found !== undefined) return found;
    // The client makes both calls at the same time.
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, 3_000);
    const arrival = (arrived: string): void => {
      if (arrived === ref) resolve();
    };
    this.#arrivals.add(arrival);
    await promise;
    clearTimeout(timer);
    this.#arrivals.delete(arrival);
    const late = this.#driven.get(ref);
    if (late === undefined) throw new GrpcError(grpcCodes.unknown, `no such job ${ref}`);
    return late;
  }

  async #clientDriven(driven: ClientDrivenSolve): Promise<ReadonlyMap<string, string>> {
    const { ref, signal } = driven.input;
    const gone = (): void => driven.fail(new GrpcError(grpcCodes.canceled, "the client is gone"));
    this.#driven.set(ref, driven);
    for (const tell of this.#arrivals) tell(ref);
    signal.addEventListener("abort", gone, { once: true });
    try {
      if (signal.aborted) gone();
      return await driven.returned;
    } finally {
      signal.removeEventListener("abort", gone);
      this.#driven.delete(ref);
      await driven.references.close();
    }
  }
}

/** Newer clients send a list, older ones a single exporter in fields of its own. */
function exportersOf(request: SolveMessage): readonly Exporter[] {
  if (request.Exporters.length > 0) return request.Exporters;
  if (request.ExporterDeprecated === "") return [];
  return [{ Type: request.ExporterDeprecated, Attrs: request.ExporterAttrsDeprecated }];
}

const sourceUrl = "github.com/moby/buildkit/errdefs.Source+json";
const vertexUrl = "github.com/moby/buildkit/errdefs.Vertex+json";

/**
 * The error with what clients draw the excerpt from. Its code is always "unknown", as BuildKit's is: clients show other
 * codes before the message. Details are JSON, as their names say.
 */
export function withDetails(error: unknown): GrpcError {
  const plain = toGrpcError(error);
  if (error instanceof GrpcError || plain.code === grpcCodes.canceled) return plain;
  const failure = buildFailureOf(error);
  const details: Encodable<typeof any>[] = [];
  if (failure !== undefined) {
    const { source, ranges, vertex } = failure;
    const info = {
      filename: source.name,
      data: Buffer.from(source.text).toString("base64"),
      language: "Dockerfile",
    };
    details.push({ type_url: sourceUrl, value: Buffer.from(JSON.stringify({ info, ranges })) });
    if (vertex !== undefined)
      details.push({ type_url: vertexUrl, value: Buffer.from(JSON.stringify({ digest: vertex })) });
  }
  return new GrpcError(grpcCodes.unknown, plain.message, {
    details: status.encode({ code: grpcCodes.unknown, message: plain.message, details }),
    cause: error,
  });
}
