import { EngineError, type ErrorKind, errorText, firstError, textWithHint } from "../base/errors.ts";
import { asMachineFault } from "../base/machine-fault.ts";

/** The one place that knows which HTTP status a kind of failure has (Docker's error classes). */
const statusByKind: Readonly<Record<ErrorKind, number>> = {
  invalidArgument: 400,
  notFound: 404,
  alreadyExists: 409,
  conflict: 409,
  notModified: 304,
  unauthenticated: 401,
  permissionDenied: 403,
  notImplemented: 501,
  unavailable: 503,
  resourceExhausted: 500,
  internal: 500,
};

/** A fault of the transport itself, which has no kind in the engine: a body that is too large or never arrives. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface ErrorAnswer {
  readonly status: number;
  readonly message: string;
  /** A bug of ours: its trace belongs in the daemon's log. */
  readonly isBug: boolean;
}

/** Maps anything that was thrown to the answer that the client gets. */
export function errorAnswer(thrown: unknown): ErrorAnswer {
  const error = asMachineFault(firstError(thrown));
  if (error instanceof HttpError) return { status: error.status, message: error.message, isBug: false };
  if (!(error instanceof EngineError)) return { status: 500, message: errorText(error), isBug: true };
  return { status: statusByKind[error.kind], message: textWithHint(error), isBug: false };
}
