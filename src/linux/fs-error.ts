import { EngineError } from "../base/errors.ts";
import { systemError } from "./libc.ts";

/**
 * Turns what Node's file functions throw into an `EngineError` of the errno's kind. Anything else is returned as it is.
 * `what` says what was asked: `write layer file usr/bin/env`.
 */
export function fileSystemError(what: string, error: unknown): unknown {
  if (error instanceof EngineError || !isErrno(error)) return error;
  return "errno" in error && typeof error.errno === "number" ? systemError(what, -error.errno) : error;
}

/** Runs synchronous file work; failures come out as {@link fileSystemError}. */
export function withFileErrors<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw fileSystemError(what, error);
  }
}

/** True for an error of a system call; with `codes`, of one of those (`ENOENT`). */
export function isErrno(error: unknown, ...codes: string[]): error is Error & { code: string } {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return false;
  return codes.length === 0 || codes.includes(error.code);
}
