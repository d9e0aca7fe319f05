/** Messages of `moby.buildkit.v1.Control` (BuildKit, api/services/control/control.proto and api/types/worker.proto). */
import { many, map, message, one } from "../protobuf.ts";
import { definition, platform, range, sourceInfo, status, stringMap, timestamp } from "./common.ts";

export const controlService = "/moby.buildkit.v1.Control/";

export const buildkitVersion = message({
  package: one(1, "string"),
  version: one(2, "string"),
  revision: one(3, "string"),
});

export const gcPolicy = message({
  all: one(1, "bool"),
  keepDuration: one(2, "int64"),
  reservedSpace: one(3, "int64"),
  filters: many(4, "string"),
  maxUsedSpace: one(5, "int64"),
  minFreeSpace: one(6, "int64"),
});

export const workerRecord = message({
  ID: one(1, "string"),
  Labels: stringMap(2),
  platforms: many(3, platform),
  GCPolicy: many(4, gcPolicy),
  BuildkitVersion: one(5, buildkitVersion),
});

export const listWorkersRequest = message({ filter: many(1, "string") });
export const listWorkersResponse = message({ record: many(1, workerRecord) });
export const infoRequest = message({});
export const infoResponse = message({ buildkitVersion: one(1, buildkitVersion) });

export const usageRecord = message({
  ID: one(1, "string"),
  Mutable: one(2, "bool"),
  InUse: one(3, "bool"),
  Size: one(4, "int64"),
  Parent: one(5, "string"),
  CreatedAt: one(6, timestamp),
  LastUsedAt: one(7, timestamp),
  UsageCount: one(8, "int64"),
  Description: one(9, "string"),
  RecordType: one(10, "string"),
  Shared: one(11, "bool"),
  Parents: many(12, "string"),
});

export const diskUsageRequest = message({ filter: many(1, "string") });
export const diskUsageResponse = message({ record: many(1, usageRecord) });

export const pruneRequest = message({
  filter: many(1, "string"),
  all: one(2, "bool"),
  /** ns. */
  keepDuration: one(3, "int64"),
  /** Called `keepBytes` before BuildKit 0.17. */
  reservedSpace: one(4, "int64"),
  maxUsedSpace: one(5, "int64"),
  minFreeSpace: one(6, "int64"),
});

export const cacheEntry = message({ Type: one(1, "string"), Attrs: stringMap(2) });

const cacheOptions = message({
  ExportRefDeprecated: one(1, "string"),
  ImportRefsDeprecated: many(2, "string"),
  ExportAttrsDeprecated: stringMap(3),
  Exports: many(4, cacheEntry),
  Imports: many(5, cacheEntry),
});

const exporter = message({ Type: one(1, "string"), Attrs: stringMap(2) });

export const solveRequest = message({
  Ref: one(1, "string"),
  Definition: one(2, definition),
  ExporterDeprecated: one(3, "string"),
  ExporterAttrsDeprecated: stringMap(4),
  Session: one(5, "string"),
  Frontend: one(6, "string"),
  FrontendAttrs: stringMap(7),
  Cache: one(8, cacheOptions),
  Entitlements: many(9, "string"),
  FrontendInputs: map(10, definition),
  Internal: one(11, "bool"),
  Exporters: many(13, exporter),
});

export const solveResponse = message({ ExporterResponse: stringMap(1) });

export const statusRequest = message({ Ref: one(1, "string") });

const vertex = message({
  digest: one(1, "string"),
  inputs: many(2, "string"),
  name: one(3, "string"),
  cached: one(4, "bool"),
  started: one(5, timestamp),
  completed: one(6, timestamp),
  error: one(7, "string"),
});

const vertexStatus = message({
  ID: one(1, "string"),
  vertex: one(2, "string"),
  name: one(3, "string"),
  current: one(4, "int64"),
  total: one(5, "int64"),
  timestamp: one(6, timestamp),
  started: one(7, timestamp),
  completed: one(8, timestamp),
});

const vertexLog = message({
  vertex: one(1, "string"),
  timestamp: one(2, timestamp),
  /** 1 stdout, 2 stderr. */
  stream: one(3, "int64"),
  msg: one(4, "bytes"),
});

const vertexWarning = message({
  vertex: one(1, "string"),
  level: one(2, "int64"),
  short: one(3, "bytes"),
  detail: many(4, "bytes"),
  url: one(5, "string"),
  info: one(6, sourceInfo),
  ranges: many(7, range),
});

export const statusResponse = message({
  vertexes: many(1, vertex),
  statuses: many(2, vertexStatus),
  logs: many(3, vertexLog),
  warnings: many(4, vertexWarning),
});

const descriptor = message({
  media_type: one(1, "string"),
  digest: one(2, "string"),
  size: one(3, "int64"),
  annotations: stringMap(5),
});

export const historyRequest = message({
  ActiveOnly: one(1, "bool"),
  Ref: one(2, "string"),
  EarlyExit: one(3, "bool"),
  Filter: many(4, "string"),
  Limit: one(5, "int32"),
});

export const historyRecord = message({
  Ref: one(1, "string"),
  Frontend: one(2, "string"),
  FrontendAttrs: stringMap(3),
  Exporters: many(4, exporter),
  error: one(5, status),
  CreatedAt: one(6, timestamp),
  CompletedAt: one(7, timestamp),
  logs: one(8, descriptor),
  ExporterResponse: stringMap(9),
  Generation: one(12, "int32"),
  pinned: one(14, "bool"),
  numCachedSteps: one(15, "int32"),
  numTotalSteps: one(16, "int32"),
  numCompletedSteps: one(17, "int32"),
  numWarnings: one(19, "int32"),
});

/** `type`: 0 started, 1 complete, 2 deleted. */
export const historyEvent = message({ type: one(1, "int32"), record: one(2, historyRecord) });

export const updateHistoryRequest = message({
  Ref: one(1, "string"),
  Pinned: one(2, "bool"),
  Delete: one(3, "bool"),
  Finalize: one(4, "bool"),
});
export const updateHistoryResponse = message({});

/** A piece of a raw stream. */
export const bytesMessage = message({ data: one(1, "bytes") });
