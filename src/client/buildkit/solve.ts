/** Asks a daemon for builds by BuildKit's protocol, and for what it knows of its cache. */
import { randomBytes } from "node:crypto";
import { GrpcConnection } from "../../base/grpc/client.ts";
import { GrpcError, fromGrpcError } from "../../base/grpc/status.ts";
import { type any, status } from "../../wire/buildkit/common.ts";
import * as control from "../../wire/buildkit/control.ts";
import * as gateway from "../../wire/buildkit/gateway.ts";
import type { Decoded, Encodable, MessageType } from "../../wire/protobuf.ts";
import type { Transport } from "../transport.ts";
import { BuildSession, type SessionOffer } from "./session.ts";

export type BuildStatus = Decoded<typeof control.statusResponse>;
export type CacheUsage = Decoded<typeof control.usageRecord>;
export type Worker = Decoded<typeof control.workerRecord>;

export interface CacheEntry {
  readonly type: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface BuildOptions {
  readonly offer: SessionOffer;
  /** In BuildKit's words: `filename`, `target`, `build-arg:NAME`, … */
  readonly attributes: ReadonlyMap<string, string>;
  readonly exporters: readonly CacheEntry[];
  readonly cacheFrom?: readonly CacheEntry[];
  readonly cacheTo?: readonly CacheEntry[];
  readonly entitlements?: readonly string[];
  readonly onStatus: (status: BuildStatus) => void;
  readonly signal?: AbortSignal;
}

const methodOf = <In, Out>(
  service: string,
  name: string,
  types: { readonly request: In; readonly response: Out },
): { path: string; request: In; response: Out } => ({ path: service + name, ...types });

// oxlint-disable-next-line typescript/no-explicit-any -- any message; calls are typed by the two that are given
type AnyType = MessageType<any>;

const controlMethod = <In extends AnyType, Out extends AnyType>(
  name: string,
  request: In,
  response: Out,
): { path: string; request: In; response: Out } =>
  methodOf(control.controlService, name, { request, response });

const solve = controlMethod("Solve", control.solveRequest, control.solveResponse);
const statusOf = controlMethod("Status", control.statusRequest, control.statusResponse);
const diskUsage = controlMethod("DiskUsage", control.diskUsageRequest, control.diskUsageResponse);
const prune = controlMethod("Prune", control.pruneRequest, control.usageRecord);
const listWorkers = controlMethod("ListWorkers", control.listWorkersRequest, control.listWorkersResponse);
const bridgeSolve = methodOf(gateway.bridgeService, "Solve", {
  request: gateway.bridgeSolveRequest,
  response: gateway.bridgeSolveResponse,
});
const bridgeReturn = methodOf(gateway.bridgeService, "Return", {
  request: gateway.returnRequest,
  response: gateway.returnResponse,
});

async function connect(transport: Transport, signal?: AbortSignal): Promise<GrpcConnection> {
  const { socket } = await transport.hijack("/grpc", { upgrade: "h2c", signal });
  return new GrpcConnection(socket);
}

/**
 * Builds. Resolves with what the exporters say (`containerimage.digest`, …). Throws `EngineError`; the place in the
 * Dockerfile is in {@link errorSources}.
 */
export async function runBuild(
  transport: Transport,
  options: BuildOptions,
): Promise<{ readonly ref: string; readonly response: ReadonlyMap<string, string> }> {
  const { signal } = options;
  const ref = randomBytes(13).toString("hex");
  using session = new BuildSession(options.offer);
  const [connection] = await Promise.all([connect(transport, signal), session.open(transport, signal)]);
  using calls = connection;
  const request = solveMessage(ref, session.id, options);
  const progress = watch(calls, ref, options);
  try {
    const response = await calls.call(
      solve,
      { ...request, Frontend: "dockerfile.v0", FrontendAttrs: options.attributes },
      signal === undefined ? {} : { signal },
    );
    return { ref, response: response.ExporterResponse };
  } finally {
    // What the build told last is shown before its outcome.
    await progress;
  }
}

/** Puts a question about a Dockerfile (`frontend.lint`, …). Resolves with its answer's parts. Throws `EngineError`. */
export async function askFrontend(
  transport: Transport,
  question: string,
  options: BuildOptions,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const ref = randomBytes(13).toString("hex");
  using session = new BuildSession(options.offer);
  const [connection] = await Promise.all([connect(transport, options.signal), session.open(transport)]);
  using calls = connection;
  const metadata = new Map([[gateway.buildIdKey, [ref]]]);
  const solved = calls.call(solve, solveMessage(ref, session.id, { ...options, exporters: [] }));
  const answered = (async () => {
    const { result } = await calls.call(
      bridgeSolve,
      {
        Frontend: "dockerfile.v0",
        FrontendOpt: new Map([
          ...options.attributes,
          ["requestid", question],
          ["frontend.caps", "moby.buildkit.frontend.subrequests"],
        ]),
        allowResultReturn: true,
        allowResultArrayRef: true,
      },
      { metadata },
    );
    await calls.call(bridgeReturn, { result: { metadata: result?.metadata ?? new Map() } }, { metadata });
    return result?.metadata ?? new Map<string, Uint8Array>();
  })();
  // The one that fails says why; the other's end follows from it.
  solved.catch(() => {});
  const answer = await answered;
  await solved;
  return answer;
}

function solveMessage(
  ref: string,
  session: string,
  options: BuildOptions,
): Encodable<typeof control.solveRequest> {
  const entry = ({ type, attributes }: CacheEntry): { Type: string; Attrs: Map<string, string> } => ({
    Type: type,
    Attrs: new Map(Object.entries(attributes)),
  });
  const exporters = options.exporters.map(entry);
  return {
    Ref: ref,
    Session: session,
    Exporters: exporters,
    ExporterDeprecated: exporters[0]?.Type ?? "",
    ExporterAttrsDeprecated: exporters[0]?.Attrs ?? new Map(),
    Cache: {
      Imports: (options.cacheFrom ?? []).map(entry),
      Exports: (options.cacheTo ?? []).map(entry),
    },
    Entitlements: options.entitlements ?? [],
  };
}

async function watch(connection: GrpcConnection, ref: string, options: BuildOptions): Promise<void> {
  const call = connection.open(statusOf);
  call.send({ Ref: ref });
  call.end();
  try {
    for await (const message of call.messages()) options.onStatus(message);
  } catch (error) {
    // The build's own outcome says what went wrong.
    if (!(error instanceof GrpcError)) throw error;
  }
}

export async function cacheUsage(
  transport: Transport,
  filters: readonly string[],
): Promise<readonly CacheUsage[]> {
  using connection = await connect(transport);
  return (await connection.call(diskUsage, { filter: filters })).record;
}

export async function workersOf(transport: Transport): Promise<readonly Worker[]> {
  using connection = await connect(transport);
  return (await connection.call(listWorkers, {})).record;
}

/** Removes cache; yields each record that went. */
export async function* pruneCache(
  transport: Transport,
  request: Encodable<typeof control.pruneRequest>,
): AsyncGenerator<CacheUsage> {
  using connection = await connect(transport);
  const call = connection.open(prune);
  call.send(request);
  call.end();
  try {
    for await (const record of call.messages()) yield record;
  } catch (error) {
    if (!(error instanceof GrpcError)) throw error;
    throw fromGrpcError(error);
  }
  await call.done();
}

/** A piece of a file that an error comes from. */
export interface ErrorSource {
  readonly filename: string;
  readonly text: string;
  readonly ranges: readonly {
    readonly start: { readonly line: number };
    readonly end: { readonly line: number };
  }[];
}

const sourceType = /errdefs\.Source\+json$/;

/** Where in the Dockerfile a build failed, as the daemon tells it with the error. */
export function errorSources(error: unknown): ErrorSource[] {
  const cause = error instanceof Error ? error.cause : undefined;
  if (!(cause instanceof GrpcError) || cause.details === undefined) return [];
  return status
    .decode(cause.details)
    .details.filter((detail: Decoded<typeof any>) => sourceType.test(detail.type_url))
    .flatMap((detail) => {
      const value = JSON.parse(Buffer.from(detail.value).toString()) as {
        info?: { filename?: string; data?: string };
        ranges?: { start?: { line?: number }; end?: { line?: number } }[];
      };
      if (value.info?.data === undefined) return [];
      return [
        {
          filename: value.info.filename ?? "",
          text: Buffer.from(value.info.data, "base64").toString(),
          ranges: (value.ranges ?? []).map(({ start, end }) => ({
            start: { line: start?.line ?? 0 },
            end: { line: end?.line ?? start?.line ?? 0 },
          })),
        },
      ];
    });
}
