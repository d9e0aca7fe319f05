/**
 * `moby.buildkit.v1.frontend.LLBBridge`: how a client drives a build itself. buildx asks for a Solve without a frontend,
 * then for the frontend's Solve over the bridge, and returns its result; both ends meet in a {@link ClientDrivenSolve}.
 */
import type { CallStream } from "../../base/grpc/call.ts";
import { type MethodHandler, method, unary } from "../../base/grpc/server.ts";
import { GrpcError } from "../../base/grpc/status.ts";
import * as gateway from "../../wire/buildkit/gateway.ts";
import type { Decoded, Encodable } from "../../wire/protobuf.ts";
import { fileMethods } from "./bridge-files.ts";
import { type ClientDrivenSolve, type Solver, withDetails } from "./solve.ts";
import { answerSubrequest } from "./subrequests.ts";
import type { workers } from "./workers.ts";

/** What of the bridge is served (BuildKit, frontend/gateway/pb/caps.go). */
const capabilities = [
  "solve.base",
  "solve.inlinereturn",
  "return",
  "returnmap",
  "importcaches",
  "readfile",
  "readdir",
  "statfile",
  "resolveimage",
  "resolveimage.resolvemode",
  "frontend.inputs",
  "reference.output",
  "proto.refarray",
  "frontend.caps",
  "gateway.solve.metadata",
  "gateway.solve.evaluate",
  "gateway.evaluate",
  "gateway.warnings",
];

/**
 * What of build graphs clients may count on (BuildKit, solver/pb/caps.go). Only those are here that clients look at before
 * they use an option.
 */
const graphCapabilities = [
  "source.image",
  "source.local",
  "source.git",
  "source.git.fullurl",
  "source.git.keepgitdir",
  "source.http",
  "exec.meta.base",
  "exec.meta.proxyenv",
  "exec.meta.ulimit",
  "exec.mount.bind",
  "exec.mount.cache",
  "exec.mount.tmpfs",
  "exec.mount.secret",
  "exec.mount.ssh",
  "file.base",
  "constraints",
  "platform",
  "meta.ignorecache",
  "meta.description",
  "meta.exportcache",
  "exporter.image.annotations",
  "exporter.image.attestations",
  "exporter.sourcedateepoch",
  "exporter.local.multiple-platforms-split",
  "exporter.multiple",
];

type SolveRequest = Decoded<typeof gateway.bridgeSolveRequest>;
type SolveResponse = Encodable<typeof gateway.bridgeSolveResponse>;

function buildIdOf(call: Pick<CallStream<unknown, unknown>, "metadata">): string {
  return call.metadata.get(gateway.buildIdKey)?.[0] ?? "";
}

export function bridgeMethods(
  solver: Solver,
  listWorkers: () => ReturnType<typeof workers>,
): [string, MethodHandler<never, never>][] {
  const at = (name: string): string => gateway.bridgeService + name;
  return [
    method(
      at("Ping"),
      unary({ incoming: gateway.pingRequest, outgoing: gateway.pongResponse }, async () => ({
        FrontendAPICaps: capabilities.map((ID) => ({ ID, Enabled: true })),
        LLBCaps: graphCapabilities.map((ID) => ({ ID, Enabled: true })),
        Workers: await listWorkers(),
      })),
    ),
    method(
      at("Solve"),
      unary(
        { incoming: gateway.bridgeSolveRequest, outgoing: gateway.bridgeSolveResponse },
        async (request, call) => solve(solver, await solver.driven(buildIdOf(call)), request),
      ),
    ),
    method(
      at("Return"),
      unary({ incoming: gateway.returnRequest, outgoing: gateway.returnResponse }, async (request, call) => {
        takeReturn(await solver.driven(buildIdOf(call)), request);
        return {};
      }),
    ),
    ...fileMethods(async (call) => (await solver.driven(buildIdOf(call))).references),
    // Everything has been evaluated by the time that there is a reference.
    method(
      at("Evaluate"),
      unary({ incoming: gateway.evaluateRequest, outgoing: gateway.evaluateResponse }, () => ({})),
    ),
    method(
      at("Inputs"),
      unary({ incoming: gateway.inputsRequest, outgoing: gateway.inputsResponse }, () => ({})),
    ),
    method(
      at("Warn"),
      unary({ incoming: gateway.warnRequest, outgoing: gateway.warnResponse }, async (warning, call) => {
        passWarning(await solver.driven(buildIdOf(call)), warning);
        return {};
      }),
    ),
  ];
}

/** The client has come to the end of its build, or has given it up. */
function takeReturn(driven: ClientDrivenSolve, { error }: Decoded<typeof gateway.returnRequest>): void {
  if (error === undefined) driven.finish();
  else
    driven.fail(
      new GrpcError(error.code, error.message, {
        details: gateway.returnRequest.fields.error.kind.encode(error),
      }),
    );
}

function passWarning(driven: ClientDrivenSolve, warning: Decoded<typeof gateway.warnRequest>): void {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
  driven.input.onEvent({
    kind: "warning",
    vertex: warning.digest,
    level: warning.level,
    short: text(warning.short),
    detail: warning.detail.map(text),
    url: warning.url,
    ranges: [],
  });
}

async function solve(
  solver: Solver,
  driven: ClientDrivenSolve,
  request: SolveRequest,
): Promise<SolveResponse> {
  if (request.Definition !== undefined && request.Definition.def.length > 0) {
    const source = solver.sourceOf(request.Definition, driven.input.session);
    const id = driven.references.add(source);
    if (request.Evaluate) await driven.references.open(id);
    return { ref: id, result: { ref: { id, def: request.Definition } } };
  }
  const attributes = request.FrontendOpt;
  const input = {
    ...driven.input,
    attributes,
    inputs: solver.inputsOf(request.FrontendInputs, driven.input.session),
    cacheFrom: [...(driven.request.Cache?.Imports ?? []), ...request.CacheImports],
  };
  const subrequest = attributes.get("requestid");
  if (subrequest !== undefined && subrequest !== "") {
    try {
      return { result: { metadata: await answerSubrequest(solver.builder, subrequest, input), ref: {} } };
    } catch (error) {
      throw withDetails(error);
    }
  }
  const built = await solver.build(request.Frontend, input);
  driven.setResponse(new Map(Object.entries(built.metadata)));
  const { id, graph } = solver.built.add(built.images);
  const config = built.images.length === 1 ? JSON.stringify(built.images[0]!.config) : undefined;
  return {
    ref: id,
    result: {
      metadata: new Map(config === undefined ? [] : [["containerimage.config", Buffer.from(config)]]),
      ref: { id, def: graph },
    },
  };
}
