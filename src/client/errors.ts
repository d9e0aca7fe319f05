import type { Host } from "./host.ts";

/** The daemon answered with an error status. `message` is its own sentence, without any prefix. */
export class ClientError extends Error {
  override readonly name = "ClientError";
  /** HTTP status of the answer; 0 when the error came inside of a stream whose status had been 200. */
  readonly status: number;
  /** Code of an `errorDetail` object inside of a progress stream, where one was given. */
  readonly code: number | undefined;

  constructor(status: number, message: string, code?: number) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** There is no daemon to talk to, or the line to it broke. `message` says which socket, why, and what to do. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  /** errno name such as `ENOENT`, `ECONNREFUSED` or `EACCES`; `EPROTO` for an answer that is no HTTP. */
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** True for a {@link ClientError} with the status 404. */
export function isNotFound(error: unknown): error is ClientError {
  return error instanceof ClientError && error.status === 404;
}

/** A failure to connect in words that say what was tried, what stood in the way and what to do. */
export function connectFailure(host: Host, error: NodeJS.ErrnoException): ConnectionError {
  const code = error.code ?? "EIO";
  return new ConnectionError(code, connectFailureText(host, code, error), error);
}

function connectFailureText(host: Host, code: string, error: Error): string {
  if (host.kind === "unix") {
    switch (code) {
      case "ENOENT":
        return `Cannot connect to the daemon at ${host.url}: there is no such socket. Is the daemon running? Start it with "gantry daemon", or name another one with -H or DOCKER_HOST.`;
      case "ECONNREFUSED":
        return `Cannot connect to the daemon at ${host.url}: nobody listens on this socket. Is the daemon running? Start it with "gantry daemon".`;
      case "EACCES":
      case "EPERM":
        return `Permission denied while connecting to the daemon at ${host.url}. Use root (sudo), or become a member of the group that owns the socket ("gantry daemon --group").`;
      case "EINVAL":
        return `Cannot connect to the daemon at ${host.url}: the path of a unix socket has at most 107 bytes.`;
      default:
        return `Cannot connect to the daemon at ${host.url}: ${error.message}. Is the daemon running?`;
    }
  }
  const certificate = /CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS|ERR_SSL/.exec(code);
  if (certificate !== null)
    return `Cannot connect to the daemon at ${host.url} with TLS: ${error.message}. Check --tlscacert, --tlscert and --tlskey.`;
  switch (code) {
    case "ECONNREFUSED":
      return `Cannot connect to the daemon at ${host.url}: connection refused. Is the daemon running there and listening on TCP ("gantry daemon -H ${host.url}")?`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `Cannot connect to the daemon at ${host.url}: the host name "${host.hostname}" cannot be resolved.`;
    case "ETIMEDOUT":
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return `Cannot connect to the daemon at ${host.url}: the host does not answer (${code}).`;
    default:
      return `Cannot connect to the daemon at ${host.url}: ${error.message}. Is the daemon running?`;
  }
}
