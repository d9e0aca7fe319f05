/** Messages of `moby.buildkit.v1.frontend.LLBBridge` (BuildKit, frontend/gateway/pb/gateway.proto). */
import { many, map, message, one } from "../protobuf.ts";
import { apiCapability, definition, platform, range, sourceInfo, status, stringMap } from "./common.ts";
import { cacheEntry, workerRecord } from "./control.ts";
import { stat } from "./filesync.ts";

export const bridgeService = "/moby.buildkit.v1.frontend.LLBBridge/";
/** Metadata that says which Solve a call belongs to. */
export const buildIdKey = "buildkit-controlapi-buildid";

const ref = message({ id: one(1, "string"), def: one(2, definition) });
const refMap = message({ refs: map(1, ref) });

const result = message({
  refDeprecated: one(1, "string"),
  ref: one(3, ref),
  refs: one(4, refMap),
  metadata: map(10, "bytes"),
});

export const pingRequest = message({});
export const pongResponse = message({
  FrontendAPICaps: many(1, apiCapability),
  LLBCaps: many(2, apiCapability),
  Workers: many(3, workerRecord),
});

export const bridgeSolveRequest = message({
  Definition: one(1, definition),
  Frontend: one(2, "string"),
  FrontendOpt: stringMap(3),
  allowResultReturn: one(5, "bool"),
  allowResultArrayRef: one(6, "bool"),
  Final: one(10, "bool"),
  ExporterAttr: one(11, "bytes"),
  CacheImports: many(12, cacheEntry),
  FrontendInputs: map(13, definition),
  Evaluate: one(14, "bool"),
});

export const bridgeSolveResponse = message({ ref: one(1, "string"), result: one(3, result) });

export const returnRequest = message({ result: one(1, result), error: one(2, status) });
export const returnResponse = message({});

const fileRange = message({ Offset: one(1, "int64"), Length: one(2, "int64") });
export const readFileRequest = message({
  Ref: one(1, "string"),
  FilePath: one(2, "string"),
  Range: one(3, fileRange),
});
export const readFileResponse = message({ Data: one(1, "bytes") });
export const readDirRequest = message({
  Ref: one(1, "string"),
  DirPath: one(2, "string"),
  IncludePattern: one(3, "string"),
});
export const readDirResponse = message({ entries: many(1, stat) });
export const statFileRequest = message({ Ref: one(1, "string"), Path: one(2, "string") });
export const statFileResponse = message({ stat: one(1, stat) });
export const evaluateRequest = message({ Ref: one(1, "string") });
export const evaluateResponse = message({});
export const inputsRequest = message({});
export const inputsResponse = message({ Definitions: map(1, definition) });

export const resolveImageConfigRequest = message({
  Ref: one(1, "string"),
  Platform: one(2, platform),
  ResolveMode: one(3, "string"),
  LogName: one(4, "string"),
});
export const resolveImageConfigResponse = message({
  Digest: one(1, "string"),
  Config: one(2, "bytes"),
  Ref: one(3, "string"),
});

export const warnRequest = message({
  digest: one(1, "string"),
  level: one(2, "int64"),
  short: one(3, "bytes"),
  detail: many(4, "bytes"),
  url: one(5, "string"),
  info: one(6, sourceInfo),
  ranges: many(7, range),
});
export const warnResponse = message({});
