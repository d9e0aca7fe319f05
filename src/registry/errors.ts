/** What went wrong with a registry, as a sentence. Neither credentials nor the queries of URLs ever go into one. */
import { EngineError, type ErrorKind, errorText } from "../base/errors.ts";
import { isErrno } from "../linux/fs-error.ts";

/** What an answer tells before its body is read. */
interface AnswerHead {
  readonly status: number;
  readonly host: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** A registry answered, and said no. */
export class RegistryResponseError extends EngineError {
  readonly status: number;
  /** Codes of the distribution specification, such as `MANIFEST_UNKNOWN`. */
  readonly codes: readonly string[];
  /** Its own words: `manifest unknown: manifest unknown`. */
  readonly said: string;
  /** Its `Retry-After`. */
  readonly retryAfter: string | undefined;

  constructor(answer: {
    status: number;
    codes: readonly string[];
    asked: string;
    said: string;
    retryAfter?: string | undefined;
  }) {
    super(kindOf(answer.status), `${answer.asked}: ${answer.said}`);
    this.status = answer.status;
    this.codes = answer.codes;
    this.said = answer.said;
    this.retryAfter = answer.retryAfter;
  }
}

function kindOf(status: number): ErrorKind {
  if (status === 401) return "unauthenticated";
  if (status === 403) return "permissionDenied";
  if (status === 404) return "notFound";
  return status >= 400 && status < 500 && status !== 429 ? "invalidArgument" : "unavailable";
}

/** A connection that could not be made, or broke: worth another try, or another address. */
export class RegistryConnectionError extends EngineError {
  readonly code: string;

  /** `proxy` is `host:port` of the proxy on the way. */
  constructor(host: string, cause: unknown, proxy?: string) {
    const code = isErrno(cause) ? cause.code : "";
    const way = proxy === undefined ? "" : ` through the proxy ${proxy}`;
    super("unavailable", `cannot reach the registry ${host}${way}: ${causeWords(code, cause)}`, {
      hint: hintFor(code, host),
      cause,
    });
    this.code = code;
  }

  /** The connection was there and broke, so that another try may do. */
  get isPassing(): boolean {
    return ["ECONNRESET", "EPIPE", "ETIMEDOUT", "ESILENT", "ECONNABORTED", "HPE_INVALID_EOF_STATE"].includes(
      this.code,
    );
  }
}

/** An error with a code for a registry that says nothing. */
export function silence(milliseconds: number): Error {
  return Object.assign(new Error(`it said nothing for ${milliseconds / 1000} s`), { code: "ESILENT" });
}

const words: Readonly<Record<string, string>> = {
  ENOTFOUND: "no such host",
  EAI_AGAIN: "its name cannot be looked up at present",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the connection was cut",
  EPIPE: "the connection was cut",
  ETIMEDOUT: "it does not answer (connection timed out)",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  ERR_SSL_WRONG_VERSION_NUMBER: "it speaks plain HTTP, not TLS",
  EPROTO: "it does not speak TLS as it should",
};

function causeWords(code: string, cause: unknown): string {
  if (isCertificateCode(code)) return `its certificate is not to be trusted (${errorText(cause)})`;
  return words[code] ?? errorText(cause);
}

function isCertificateCode(code: string): boolean {
  return /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ERR_TLS/.test(code);
}

function hintFor(code: string, host: string): string {
  if (isCertificateCode(code))
    return `Put the authority's certificate into /etc/docker/certs.d/${host}/ca.crt, or list the registry in insecure-registries.`;
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER" || code === "EPROTO")
    return `If that is meant to be, start the daemon with --insecure-registry ${host}.`;
  return "Check its name, the network and the proxy settings of the daemon. Without a registry, `gantry image bootstrap` makes a Debian image, and `gantry load` takes one from a file.";
}

const maxErrorBytes = 64 * 1024;

/** Reads an error answer, in the words of the specification when it is one (distribution spec 1.1, Error Codes). */
export async function responseError(
  what: string,
  response: AnswerHead & { readonly body: AsyncIterable<Buffer> },
): Promise<RegistryResponseError> {
  const { status, host } = response;
  const errors = parseErrors(await readSome(response.body));
  const retryAfter = response.headers["retry-after"];
  const codes = errors.map(({ code }) => code);
  const said = errors.map(({ code, message }) => [codeWords(code), message].filter(Boolean).join(": "));
  const reason = said.length > 0 ? said.join("; ") : `it answered ${status} without saying why`;
  return new RegistryResponseError({
    status,
    codes,
    asked: `${what} at ${host}`,
    said: reason,
    retryAfter: typeof retryAfter === "string" ? retryAfter : undefined,
  });
}

async function readSome(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      sizeBytes += chunk.length;
      if (sizeBytes > maxErrorBytes) break;
    }
  } catch {
    // The status alone has to do.
  }
  return Buffer.concat(chunks).toString("utf8");
}

interface SaidError {
  readonly code: string;
  readonly message: string;
}

function parseErrors(text: string): SaidError[] {
  try {
    const value = JSON.parse(text) as {
      errors?: { code?: unknown; message?: unknown }[];
      details?: unknown;
    };
    if (!Array.isArray(value.errors))
      return typeof value.details === "string" ? [{ code: "", message: value.details }] : [];
    return value.errors.map(({ code, message }) => ({
      code: typeof code === "string" ? code : "",
      message: typeof message === "string" ? message : "",
    }));
  } catch {
    return [];
  }
}

/** `MANIFEST_UNKNOWN` as Docker's messages have it: `manifest unknown`. */
function codeWords(code: string): string {
  return code.toLowerCase().replaceAll("_", " ");
}
