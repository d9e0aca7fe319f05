/** The Engine's classic builder: `POST /build` with its context as a tar; and the build cache. */
import { randomUUID } from "node:crypto";
import { PassThrough, type Readable } from "node:stream";
import { EngineError, errorText, invalidArgument, notImplemented } from "../../base/errors.ts";
import {
  buildFailureOf,
  type BuildExport,
  type BuildLimits,
  type BuildRequest,
  type BuildResult,
  type ContextSource,
} from "../../build/build.ts";
import { log } from "../../base/log.ts";
import { redactCredentials } from "../../base/redact-url.ts";
import { parsePlatform } from "../../oci/platform.ts";
import { familiarReference, parseReference } from "../../oci/reference.ts";
import type { RegistryAuth } from "../../wire/registry.ts";
import { type ClassicMessage, ClassicStream } from "../classic-stream.ts";
import type { Exchange, Route } from "../exchange.ts";
import { type Decoder, integer, object, string, stringMap } from "../decode.ts";
import { errorAnswer } from "../http-error.ts";
import { buildByVersion2, type Output } from "./build-version2.ts";
import { MessageSender, StreamAnswer } from "../stream.ts";

type Query = Exchange["query"];

/** A query parameter that holds JSON. Throws `invalidArgument` when it cannot be read. */
function jsonQuery(query: Query, name: string): unknown {
  const text = query.text(name);
  return text === undefined ? undefined : parseJson(text, name);
}

function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw invalidArgument(`error reading build parameter ${name}: ${errorText(error)}`);
  }
}

/** A query parameter that holds a list as JSON; empty when it is missing, empty or null. Throws `invalidArgument`. */
function jsonList<T>(query: Query, name: string, element: Decoder<T>): T[] {
  const text = query.text(name);
  return text === undefined || text === "" ? [] : parseList(text, name, element);
}

function parseList<T>(text: string, name: string, element: Decoder<T>): T[] {
  const list = parseJson(text, name) ?? [];
  if (!Array.isArray(list)) throw invalidArgument(`error reading build parameter ${name}: it is no list`);
  return list.map((item: unknown, index) => element(item, `${name}[${index}]`));
}

interface Ulimit {
  readonly Name?: string;
  readonly Soft?: number;
  readonly Hard?: number;
}
const ulimitOf = object<Ulimit>({ Name: string, Soft: integer, Hard: integer });

const outputOf = object<Output>({ Type: string, Attrs: stringMap });

function textMap(query: Query, name: string): Record<string, string> {
  const map = (jsonQuery(query, name) ?? {}) as Record<string, unknown>;
  if (typeof map !== "object" || Array.isArray(map)) throw invalidArgument(`${name} must be a JSON object`);
  const texts: Record<string, string> = {};
  // A build argument without a value is one that the client's environment has not got.
  for (const [key, value] of Object.entries(map)) if (typeof value === "string") texts[key] = value;
  return texts;
}

function limitsOf(query: Query): BuildLimits {
  const number = (name: string): number | undefined => query.integer(name) || undefined;
  const shmSizeBytes = query.integer("shmsize");
  if (shmSizeBytes !== undefined && shmSizeBytes < 0)
    throw invalidArgument("SHM size can not be less than 0");
  const ulimits = jsonList(query, "ulimits", ulimitOf);
  const limits = {
    memoryBytes: number("memory"),
    memorySwapBytes: number("memswap"),
    cpuShares: number("cpushares"),
    cpuPeriodUs: number("cpuperiod"),
    cpuQuotaUs: number("cpuquota"),
    cpusetCpus: query.text("cpusetcpus") || undefined,
    cpusetMems: query.text("cpusetmems") || undefined,
    shmSizeBytes: shmSizeBytes || undefined,
    cgroupParent: query.text("cgroupparent") || undefined,
    ulimits: ulimits.map(({ Name = "", Soft = 0, Hard = 0 }) => ({ name: Name, soft: Soft, hard: Hard })),
  };
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
}

/** `X-Registry-Config`: credentials by registry. What cannot be read says nothing, as with Docker. */
function registryConfig({ request }: Pick<Exchange, "request">): Record<string, RegistryAuth> {
  const header = request.headers["x-registry-config"];
  if (typeof header !== "string" || header === "") return {};
  try {
    const read = JSON.parse(Buffer.from(header, "base64url").toString()) as Record<
      string,
      RegistryAuth
    > | null;
    return typeof read === "object" && read !== null ? read : {};
  } catch {
    return {};
  }
}

function credentialsFor(config: Record<string, RegistryAuth>, host: string): RegistryAuth | undefined {
  const names =
    host === "docker.io"
      ? ["https://index.docker.io/v1/", "docker.io", "index.docker.io"]
      : [host, `https://${host}`, `http://${host}`];
  for (const name of names) if (config[name] !== undefined) return config[name];
  return Object.entries(config).find(
    ([key]) => key.replace(/^https?:\/\//, "").replace(/\/.*$/, "") === host,
  )?.[1];
}

function contextOf(x: Exchange): ContextSource {
  const remote = x.query.text("remote") ?? "";
  if (remote === "") return { kind: "tar", stream: bodyOf(x) };
  if (remote === "client-session")
    throw invalidArgument("a build over a session needs BuildKit's protocol (version=2)");
  if (/^(git:\/\/|git@|ssh:\/\/|github\.com\/)/.test(remote) || /^https?:\/\/.+\.git(#.*)?$/.test(remote))
    return { kind: "git", url: remote };
  if (/^https?:\/\//.test(remote)) return { kind: "http", url: remote };
  throw invalidArgument(`remote context ${redactCredentials(remote)} is neither a git repository nor a URL`);
}

/** The body, in larger pieces than a socket gives. */
function bodyOf({ request }: Exchange): Readable {
  return request.pipe(new PassThrough({ highWaterMark: 1024 * 1024 }));
}

/** `outputs` is BuildKit's; the classic builder makes images. */
function exportsOf(query: Query): BuildExport[] {
  const outputs = query.text("outputs");
  if (outputs !== undefined && outputs !== "" && outputs !== "[]")
    throw invalidArgument("outputs are served with BuildKit's protocol (version=2) only");
  return [{ type: "image", names: namesOf(query) }];
}

function namesOf(query: Query): string[] {
  const names = query.texts("t").filter((name) => name !== "");
  for (const name of names)
    if (parseReference(name).digest !== undefined)
      throw invalidArgument("refusing to create a tag with a digest reference");
  return names;
}

function buildRequest(
  x: Exchange,
  context: ContextSource,
): Omit<BuildRequest, "signal" | "onEvent" | "exports"> {
  const { query } = x;
  if (query.flag("squash"))
    throw notImplemented("squash is not served: it was an experimental option; build in stages instead");
  const isolation = query.text("isolation") ?? "";
  if (isolation !== "" && isolation !== "default")
    throw invalidArgument(`unsupported isolation: "${isolation}"`);
  const platform = query.text("platform") ?? "";
  const registries = registryConfig(x);
  const cacheFrom = jsonList(query, "cachefrom", string);
  const extraHosts = query
    .texts("extrahosts")
    .flatMap((text) => (text.startsWith("[") ? parseList(text, "extrahosts", string) : [text]));
  const mode = query.text("networkmode") ?? "";
  return {
    id: query.text("buildid") || randomUUID(),
    context,
    dockerfile: { name: query.text("dockerfile") || "Dockerfile" },
    target: query.text("target") ?? "",
    buildArgs: textMap(query, "buildargs"),
    labels: textMap(query, "labels"),
    platforms: platform === "" ? [] : [parsePlatform(platform)],
    noCache: query.flag("nocache"),
    keepsSteps: true,
    pull: query.flag("pull"),
    networkMode: mode === "" ? "default" : mode,
    extraHosts,
    limits: limitsOf(query),
    entitlements: [],
    credentials: { get: async (host) => credentialsFor(registries, host) },
    cacheFrom: cacheFrom.map((ref) => ({ type: "registry", attributes: { ref } })),
  };
}

async function build(x: Exchange): Promise<void> {
  if (x.query.text("version") === "2") {
    await buildByVersion2(x, {
      names: namesOf(x.query),
      outputs: jsonList(x.query, "outputs", outputOf),
      contextOf: () => contextOf(x),
      request: (context) => buildRequest(x, context),
    });
    return;
  }
  const request = { ...buildRequest(x, contextOf(x)), exports: exportsOf(x.query) };
  const answer = new StreamAnswer(x, "application/json");
  const isQuiet = x.query.flag("q");
  const sender = new MessageSender(answer);
  const send = (message: ClassicMessage): void => sender.send(message);
  const stream = new ClassicStream(isQuiet ? () => {} : send);
  try {
    const result = await x.builder.build({
      ...request,
      signal: x.signal,
      onEvent: (event) => stream.onEvent(event),
      outputRoom: () => sender.room(),
    });
    tellResult(result, { stream, send, isQuiet });
    await sender.sent();
    answer.end();
  } catch (error) {
    stream.flushVertex(buildFailureOf(error)?.vertex);
    await sender.sent();
    if (!answer.isStarted) throw classicWords(error);
    send(failureMessage(error));
    await sender.sent();
    answer.end();
    if (errorAnswer(error).isBug) throw error;
  } finally {
    x.request.unpipe();
    x.request.resume();
  }
}

function tellResult(
  result: BuildResult,
  out: {
    readonly stream: ClassicStream;
    readonly send: (message: ClassicMessage) => void;
    readonly isQuiet: boolean;
  },
): void {
  if (out.isQuiet) {
    if (result.imageId !== undefined) out.send({ stream: `${result.imageId}\n` });
    return;
  }
  for (const name of result.unusedBuildArgs.length > 0 ? [result.unusedBuildArgs] : [])
    out.send({ stream: `[Warning] One or more build-args [${name.join(" ")}] were not consumed\n` });
  out.stream.finish(
    result.imageId,
    result.names.map((name) => familiarReference(parseReference(name))),
  );
}

/** The classic builder's words for what it refuses before the first step. */
function classicWords(error: unknown): unknown {
  if (!(error instanceof EngineError)) return error;
  const target = /^target stage "(.*)" could not be found/.exec(error.message)?.[1];
  if (target !== undefined)
    return invalidArgument(`failed to reach build target ${target} in Dockerfile`, {
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      cause: error,
    });
  const missing = /^failed to read dockerfile: open (.*): no such file or directory/.exec(error.message)?.[1];
  if (missing !== undefined)
    return invalidArgument(`Cannot locate specified Dockerfile: ${missing}`, { cause: error });
  return error;
}

/** A failed command has Docker's words and its exit code, which is the command line's then. */
function failureMessage(error: unknown): ClassicMessage {
  const failure = buildFailureOf(error);
  if (failure?.exitCode !== undefined) {
    const message = `The command '${failure.command}' returned a non-zero code: ${failure.exitCode}`;
    return { errorDetail: { code: failure.exitCode, message }, error: message };
  }
  const line = failure?.ranges[0]?.start.line;
  const place = line === undefined || failure === undefined ? "" : `${failure.source.name}:${line}: `;
  const { message } = errorAnswer(error);
  log.debug("a build failed", { error: message });
  return { errorDetail: { message: `${place}${message}` }, error: `${place}${message}` };
}

async function cancel(x: Exchange): Promise<void> {
  const id = x.query.text("id");
  if (id === undefined || id === "") throw invalidArgument("build ID not provided");
  x.builder.cancel(id);
  x.empty(200);
}

async function prune(x: Exchange): Promise<void> {
  const { query } = x;
  const bytes = (...names: string[]): number => {
    for (const name of names) {
      const value = query.integer(name);
      if (value !== undefined && value > 0) return value;
    }
    return 0;
  };
  const filters: Record<string, string[]> = {};
  for (const [key, values] of query.filters()) filters[key] = [...values];
  const { removed, reclaimedBytes } = await x.builder.prune({
    all: query.flag("all"),
    filters,
    reservedBytes: bytes("reserved-space", "keep-storage"),
    maxUsedBytes: bytes("max-used-space"),
    minFreeBytes: bytes("min-free-space"),
  });
  x.json(200, { CachesDeleted: removed.length === 0 ? null : removed, SpaceReclaimed: reclaimedBytes });
}

export const buildRoutes: readonly Route[] = [
  { method: "POST", path: "/build", handle: build },
  { method: "POST", path: "/build/cancel", handle: cancel },
  { method: "POST", path: "/build/prune", handle: prune },
];
