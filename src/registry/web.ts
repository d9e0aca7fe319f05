/** Files of the web that are no registry's: what is imported and added by its address. */
import { Readable } from "node:stream";
import { EngineError, errorText } from "../base/errors.ts";
import { header, type HttpAnswer, HttpSender } from "./http.ts";
import { defaultRegistryPlace } from "./registry.ts";

export interface WebFile {
  /** 200, or 304 when it was asked for with a condition. */
  readonly status: number;
  /** Ends with an EngineError when the connection breaks. */
  readonly body: Readable;
  /** The header of that name, in small letters; empty when there is none. */
  header(name: string): string;
}

/** An address without what may be a secret in it. */
export function shownUrl(address: string): string {
  if (!URL.canParse(address)) return address.replace(/\?.*$/s, "");
  const { protocol, host, pathname } = new URL(address);
  return `${protocol}//${host}${pathname}`;
}

/**
 * Opens a file of the web, through the environment's proxy, following redirects. Throws `unavailable` when nobody answers
 * or the answer is no file, `notFound` when there is no such file, and the signal's reason.
 */
export async function openWebFile(
  address: string,
  options: { readonly headers?: Readonly<Record<string, string>>; readonly signal: AbortSignal },
): Promise<WebFile> {
  const url = new URL(address);
  const endpoint = { origin: url.origin, prefix: "", host: "", verifyTls: true, isMirror: false };
  const sender = new HttpSender(endpoint, defaultRegistryPlace);
  const headers = { "User-Agent": "gantry", ...options.headers };
  let answer: HttpAnswer;
  try {
    answer = await sender.send(url, { method: "GET", headers, signal: options.signal });
  } catch (error) {
    options.signal.throwIfAborted();
    const { cause } = error as { cause?: unknown };
    throw new EngineError(
      "unavailable",
      `cannot download ${shownUrl(address)}: ${errorText(cause ?? error)}`,
      {
        cause: error,
      },
    );
  }
  const { status, body } = answer;
  if (status === 200 || status === 304) {
    const whole = wholeBody(body, shownUrl(address), options.signal);
    return {
      status,
      body: Readable.from(whole, { objectMode: false }),
      header: (name) => header(answer, name) ?? "",
    };
  }
  body.destroy();
  throw new EngineError(
    status === 404 ? "notFound" : "unavailable",
    `cannot download ${shownUrl(address)}: the server answered ${status} ${body.statusMessage ?? ""}`.trim(),
  );
}

async function* wholeBody(
  body: AsyncIterable<Buffer>,
  shown: string,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of body) yield chunk;
  } catch (error) {
    signal.throwIfAborted();
    throw new EngineError("unavailable", `cannot download ${shown}: the connection broke before its end`, {
      hint: "Try again.",
      cause: error,
    });
  }
}
