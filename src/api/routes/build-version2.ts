/**
 * `POST /build` with `version=2`: BuildKit's builder by the Engine's own door, as Docker's command line asked for it before
 * buildx (`DOCKER_BUILDKIT=1`, with a session), and as clients do that send a tar (testcontainers). Progress is BuildKit's
 * Status messages in base64 (moby, builder/builder-next/builder.go).
 */
import { invalidArgument } from "../../base/errors.ts";
import type { BuildEvent, BuildExport, BuildRequest, ContextSource } from "../../build/build.ts";
import { statusResponse } from "../../wire/buildkit/control.ts";
import { statusMessage } from "../buildkit/build-record.ts";
import type { ClientSession } from "../buildkit/client-session.ts";
import { remoteDirectory } from "../buildkit/session-files.ts";
import { sessionCredentials } from "../buildkit/session-credentials.ts";
import { sessionSecrets, sessionSsh } from "../buildkit/session-services.ts";
import { exportOf } from "../buildkit/solve-options.ts";
import type { Exchange } from "../exchange.ts";
import { errorAnswer } from "../http-error.ts";
import { MessageSender, StreamAnswer } from "../stream.ts";

/** An exporter that the client asks for. */
export interface Output {
  readonly Type?: string;
  readonly Attrs?: Readonly<Record<string, string>>;
}

/** What the classic door reads of a request. */
export interface ClassicParts {
  readonly names: readonly string[];
  /** Without one the result becomes an image. */
  readonly outputs: readonly Output[];
  contextOf(): ContextSource;
  request(context: ContextSource): Omit<BuildRequest, "signal" | "onEvent" | "exports">;
}

const uploadPrefix = "upload-request:";
/** How long a build waits for the context that its client sends in another request. */
const uploadTimeoutMs = 15_000;

/** A context that came by itself, and the end of the build that reads it. */
interface Upload {
  readonly context: ContextSource;
  readonly done: () => void;
}

const uploads = new Map<string, Upload>();
const waiting = new Map<string, () => void>();

export async function buildByVersion2(x: Exchange, parts: ClassicParts): Promise<void> {
  const id = x.query.text("buildid") ?? "";
  if (id.startsWith(uploadPrefix)) {
    await keepUpload(x, id.slice(uploadPrefix.length), parts.contextOf());
    return;
  }
  const sessionId = x.query.text("session") ?? "";
  const session = sessionId === "" ? undefined : await x.buildkit.session(sessionId, x.signal);
  const remote = x.query.text("remote") ?? "";
  const upload = remote === "upload-request" ? await uploadOf(id, x.signal) : undefined;
  try {
    const isLocal = remote === "client-session";
    if (isLocal && session === undefined) throw invalidArgument("a context in a session needs the session");
    const context = upload?.context ?? (isLocal ? remoteDirectory(session!, "context") : parts.contextOf());
    const classic = parts.request(context);
    await answerBuild(x, {
      ...classic,
      ...(session === undefined ? {} : sessionServices(session)),
      dockerfile: {
        ...classic.dockerfile,
        ...(isLocal ? { source: remoteDirectory(session!, "dockerfile") } : {}),
      },
      exports: exportsOf(parts, session, x.signal),
      signal: session === undefined ? x.signal : AbortSignal.any([x.signal, session.connection.signal]),
    });
  } finally {
    upload?.done();
    x.request.unpipe();
    x.request.resume();
  }
}

function sessionServices(session: ClientSession): Pick<BuildRequest, "secrets" | "ssh" | "credentials"> {
  return {
    secrets: sessionSecrets(session),
    ssh: sessionSsh(session),
    credentials: sessionCredentials(session),
  };
}

function exportsOf(
  { names, outputs }: ClassicParts,
  session: ClientSession | undefined,
  signal: AbortSignal,
): BuildExport[] {
  if (outputs.length === 0) return [{ type: "image", names }];
  if (session === undefined) throw invalidArgument("outputs need a session, by which they are taken");
  return outputs.map(({ Type = "", Attrs = {} }, index) => {
    const attributes = new Map(Object.entries(Attrs));
    if (names.length > 0 && !attributes.has("name")) attributes.set("name", names.join(","));
    return exportOf({ Type, Attrs: attributes }, index, { session, signal });
  });
}

async function answerBuild(x: Exchange, request: Omit<BuildRequest, "onEvent">): Promise<void> {
  const answer = new StreamAnswer(x, "application/json");
  const sender = new MessageSender(answer);
  const send = (message: Record<string, unknown>): void => sender.send(message);
  const isQuiet = x.query.flag("q");
  const onEvent = (event: BuildEvent): void => {
    if (event.kind === "step" || isQuiet) return;
    const aux = Buffer.from(statusResponse.encode(statusMessage([event]))).toString("base64");
    send({ id: "moby.buildkit.trace", aux });
  };
  let fault: unknown;
  try {
    const { imageId } = await x.builder.build({
      ...request,
      onEvent,
      outputRoom: () => sender.room(),
    });
    if (imageId !== undefined) {
      send({ id: "moby.image.id", aux: { ID: imageId } });
      if (isQuiet) send({ stream: `${imageId}\n` });
    }
  } catch (error) {
    fault = error;
    const { message } = errorAnswer(error);
    send({ errorDetail: { message }, error: message });
  }
  await sender.sent();
  answer.end();
  if (fault !== undefined && errorAnswer(fault).isBug) throw fault;
}

/** Keeps a context for the build that names it, until that build is done. */
async function keepUpload(x: Exchange, id: string, context: ContextSource): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  uploads.set(id, { context, done: resolve });
  waiting.get(id)?.();
  const timer = setTimeout(() => {
    // Nobody has asked for it.
    if (uploads.has(id)) resolve();
  }, uploadTimeoutMs);
  x.signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
  clearTimeout(timer);
  uploads.delete(id);
  x.request.unpipe();
  x.request.resume();
  x.empty(200);
}

/** Throws `invalidArgument` when none comes. */
async function uploadOf(id: string, signal: AbortSignal): Promise<Upload> {
  if (!uploads.has(id)) {
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.set(id, resolve);
    const timer = setTimeout(resolve, uploadTimeoutMs);
    signal.addEventListener("abort", () => resolve(), { once: true });
    await promise;
    clearTimeout(timer);
    waiting.delete(id);
  }
  const upload = uploads.get(id);
  if (upload === undefined) throw invalidArgument(`the client has sent no context for the build ${id}`);
  uploads.delete(id);
  return upload;
}
