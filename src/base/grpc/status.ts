/** Outcome of a call (gRPC, "Status codes and their use in gRPC"). */
import { EngineError, type ErrorKind, errorText, textWithHint } from "../errors.ts";

export const grpcCodes = {
  ok: 0,
  canceled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** A call that ended with something else than OK. */
export class GrpcError extends Error {
  override readonly name = "GrpcError";
  readonly code: number;
  /** A `google.rpc.Status` message: code, message and typed details. */
  readonly details: Uint8Array | undefined;

  constructor(code: number, message: string, options: { details?: Uint8Array; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details;
  }
}

const codeOfKind: Readonly<Record<ErrorKind, number>> = {
  invalidArgument: grpcCodes.invalidArgument,
  notFound: grpcCodes.notFound,
  alreadyExists: grpcCodes.alreadyExists,
  conflict: grpcCodes.failedPrecondition,
  notModified: grpcCodes.unknown,
  unauthenticated: grpcCodes.unauthenticated,
  permissionDenied: grpcCodes.permissionDenied,
  notImplemented: grpcCodes.unimplemented,
  unavailable: grpcCodes.unavailable,
  resourceExhausted: grpcCodes.resourceExhausted,
  internal: grpcCodes.unknown,
};

const kindOfCode = new Map<number, ErrorKind>([
  [grpcCodes.invalidArgument, "invalidArgument"],
  [grpcCodes.notFound, "notFound"],
  [grpcCodes.alreadyExists, "alreadyExists"],
  [grpcCodes.permissionDenied, "permissionDenied"],
  [grpcCodes.resourceExhausted, "resourceExhausted"],
  [grpcCodes.failedPrecondition, "conflict"],
  [grpcCodes.unimplemented, "notImplemented"],
  [grpcCodes.unavailable, "unavailable"],
  [grpcCodes.unauthenticated, "unauthenticated"],
]);

/** Any thrown value as the outcome of a call. */
export function toGrpcError(error: unknown): GrpcError {
  if (error instanceof GrpcError) return error;
  if (error instanceof EngineError)
    return new GrpcError(codeOfKind[error.kind], textWithHint(error), { cause: error });
  const aborted = error instanceof Error && error.name === "AbortError";
  return new GrpcError(aborted ? grpcCodes.canceled : grpcCodes.unknown, errorText(error), { cause: error });
}

/** The engine's error for a call that failed at the other side. */
export function fromGrpcError(error: GrpcError): EngineError {
  return new EngineError(kindOfCode.get(error.code) ?? "internal", error.message, { cause: error });
}

/** `grpc-message`: everything but printable ASCII, and `%`, as `%XX` of its bytes. */
export function encodeMessage(text: string): string {
  let encoded = "";
  for (const byte of Buffer.from(text))
    encoded +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  return encoded;
}

export function decodeMessage(text: string): string {
  const bytes = text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, "latin1").toString("utf8");
}
