/** What the registry answers when it refuses: the codes of the distribution specification 1.1, section Error Codes. */
import { EngineError, errorText } from "../../base/errors.ts";

export type ErrorCode =
  | "BLOB_UNKNOWN"
  | "BLOB_UPLOAD_INVALID"
  | "BLOB_UPLOAD_UNKNOWN"
  | "DIGEST_INVALID"
  | "MANIFEST_BLOB_UNKNOWN"
  | "MANIFEST_INVALID"
  | "MANIFEST_UNKNOWN"
  | "NAME_INVALID"
  | "NAME_UNKNOWN"
  | "SIZE_INVALID"
  | "TAG_INVALID"
  | "UNAUTHORIZED"
  | "DENIED"
  | "UNSUPPORTED"
  | "PAGINATION_NUMBER_INVALID"
  | "TOOMANYREQUESTS"
  | "UNAVAILABLE"
  | "UNKNOWN";

/** A refusal with its status, its code and headers that go with it. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: unknown;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: ErrorCode,
    message: string,
    more: { readonly detail?: unknown; readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.detail = more.detail;
    this.headers = more.headers ?? {};
  }
}

const statusByKind: Partial<Record<EngineError["kind"], [number, ErrorCode]>> = {
  invalidArgument: [400, "UNSUPPORTED"],
  notFound: [404, "BLOB_UNKNOWN"],
  unauthenticated: [502, "UNAVAILABLE"],
  permissionDenied: [502, "UNAVAILABLE"],
  unavailable: [502, "UNAVAILABLE"],
  resourceExhausted: [507, "UNAVAILABLE"],
};

/** Any thrown value as an answer. What is a fault of ours says no more than that. */
export function toRequestError(error: unknown): RequestError {
  if (error instanceof RequestError) return error;
  if (error instanceof EngineError) {
    const [status, code] = statusByKind[error.kind] ?? [500, "UNKNOWN"];
    return new RequestError(status, code, error.message);
  }
  return new RequestError(500, "UNKNOWN", "the registry failed; its log says why", {
    detail: undefined,
    headers: {},
  });
}

/** The body of a refusal. */
export function errorBody(error: RequestError): string {
  const { code, message, detail } = error;
  return JSON.stringify({ errors: [{ code, message, ...(detail === undefined ? {} : { detail }) }] });
}

/** True for faults that belong into the log. */
export function isOwnFault(error: unknown): boolean {
  return !(error instanceof RequestError) && !(error instanceof EngineError);
}

export { errorText };
