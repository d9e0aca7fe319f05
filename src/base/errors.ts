/**
 * The engine's one error type and its kinds.
 *
 * A kind says what sort of thing went wrong, never how it is transported: only `api/http-error.ts` maps kinds to HTTP
 * statuses. errno values are translated once in `linux/`, registry answers once in `registry/`.
 */

export type ErrorKind =
  | "invalidArgument"
  | "notFound"
  | "alreadyExists"
  | "conflict"
  | "notModified"
  | "unauthenticated"
  | "permissionDenied"
  | "notImplemented"
  | "unavailable"
  | "resourceExhausted"
  | "internal";

export interface EngineErrorOptions {
  /** What the user can do about it; appended to the message when it is shown. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** An expected failure. A plain `Error` that reaches the API is a bug and is answered with 500. */
export class EngineError extends Error {
  override readonly name = "EngineError";
  readonly kind: ErrorKind;
  readonly hint: string | undefined;

  constructor(kind: ErrorKind, message: string, options: EngineErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.hint = options.hint;
  }
}

/** Shorthand for the kinds that are thrown all over the house. */
export const invalidArgument = (message: string, options?: EngineErrorOptions): EngineError =>
  new EngineError("invalidArgument", message, options);
export const notFound = (message: string, options?: EngineErrorOptions): EngineError =>
  new EngineError("notFound", message, options);
export const conflict = (message: string, options?: EngineErrorOptions): EngineError =>
  new EngineError("conflict", message, options);
export const notImplemented = (message: string, options?: EngineErrorOptions): EngineError =>
  new EngineError("notImplemented", message, options);

/**
 * What went wrong first: when an undo fails too, JavaScript throws a `SuppressedError` whose own message says neither
 * (ECMA-262, explicit resource management).
 */
export function firstError(error: unknown): unknown {
  let first = error;
  while (first instanceof SuppressedError) first = first.suppressed as unknown;
  return first;
}

/** The text of any thrown value, for messages and logs. */
export function errorText(error: unknown): string {
  const first = firstError(error);
  return first instanceof Error ? first.message : String(first);
}

/** An error's text with its hint behind it, as clients are told it. */
export function textWithHint(error: EngineError): string {
  if (error.hint === undefined) return error.message;
  return `${error.message}${/[.!?]$/.test(error.message) ? "" : "."} ${error.hint}`;
}

/**
 * True for an {@link EngineError}, also for one of another bundle, which has a class of its own: the registry client throws
 * at the command line.
 */
export function isEngineError(error: unknown): error is EngineError {
  return error instanceof Error && error.name === "EngineError" && "kind" in error;
}

/** True when `error` is an {@link EngineError} of one of `kinds`. */
export function isKind(error: unknown, ...kinds: ErrorKind[]): error is EngineError {
  return isEngineError(error) && kinds.includes(error.kind);
}
