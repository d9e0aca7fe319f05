import type { IncomingMessage } from "node:http";
import { invalidArgument } from "../base/errors.ts";
import type { Decoder } from "./decode.ts";
import { HttpError } from "./http-error.ts";

/** JSON bodies are settings that people write; 4 MiB is far more than any of them has. */
const maxBodyBytes = 4 * 1024 * 1024;
/**
 * As much of a body that is too large is read to its end, and dropped: a client that is still sending when its
 * connection ends would not see the answer.
 */
const maxDroppedBytes = 64 * 1024 * 1024;
/** A client that has not sent its settings after a minute will not. */
const bodyTimeoutMs = 60_000;

/** True when the request announces a body at all. */
function hasBody(request: IncomingMessage): boolean {
  return (
    request.headers["transfer-encoding"] !== undefined || Number(request.headers["content-length"] ?? 0) > 0
  );
}

/**
 * Reads the request's JSON body as `T`. Throws `invalidArgument` in Docker's words for a missing body, another content
 * type, bad JSON or trailing data, 413 when it is too large and 408 when it does not come.
 */
export async function readJson<T>(request: IncomingMessage, decode: Decoder<T>): Promise<T> {
  if (!hasBody(request)) throw invalidArgument("invalid JSON: got EOF while reading request body");
  checkContentType(request.headers["content-type"] ?? "");
  const text = (await readAll(request)).toString("utf8");
  if (text.trim() === "") throw invalidArgument("invalid JSON: got EOF while reading request body");
  // Go reads `null` into a structure without a change to it.
  return decode(parse(text) ?? {}, "");
}

/** As {@link readJson}, but no body is as good as `{}`: what most routes of Docker's make of it. */
export async function readJsonOrEmpty<T>(request: IncomingMessage, decode: Decoder<T>): Promise<T> {
  return (await readOptionalJson(request, decode)) ?? decode({}, "");
}

/** As {@link readJson}, but a request without body gives undefined. */
export async function readOptionalJson<T>(
  request: IncomingMessage,
  decode: Decoder<T>,
): Promise<T | undefined> {
  return hasBody(request) ? await readJson(request, decode) : undefined;
}

function checkContentType(header: string): void {
  const [type = ""] = header.split(";", 1);
  if (type.trim().toLowerCase() === "application/json") return;
  if (type.trim() === "")
    throw invalidArgument(`malformed Content-Type header (${header}): mime: no media type`);
  throw invalidArgument(`unsupported Content-Type header (${header}): must be 'application/json'`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const reason = (error as SyntaxError).message;
    if (reason.includes("after JSON")) throw invalidArgument("unexpected content after JSON");
    throw invalidArgument(`invalid JSON: ${reason}`, { cause: error });
  }
}

const tooLarge = (): HttpError =>
  new HttpError(413, `the request's body is larger than ${maxBodyBytes} bytes`);

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onData = (chunk: Buffer): void => {
    sizeBytes += chunk.length;
    if (sizeBytes <= maxBodyBytes) chunks.push(chunk);
    else if (sizeBytes <= maxDroppedBytes) chunks.length = 0;
    else reject(tooLarge());
  };
  const onEnd = (): void => (sizeBytes <= maxBodyBytes ? resolve() : reject(tooLarge()));
  const onClose = (): void => reject(new HttpError(400, "the request's body ended too early"));
  const timer = setTimeout(
    () => reject(new HttpError(408, `the request's body did not arrive within ${bodyTimeoutMs / 1000} s`)),
    bodyTimeoutMs,
  );
  request.on("data", onData).once("end", onEnd).once("error", onClose).once("close", onClose);
  try {
    await promise;
    return Buffer.concat(chunks);
  } finally {
    clearTimeout(timer);
    // What is left of a refused body is read and dropped, so that the client gets to see the answer.
    request.off("data", onData).off("end", onEnd).off("close", onClose).resume();
  }
}
