/** `moby.buildkit.v1.Control`: builds, their progress, the cache, and what was built (BuildKit, control/control.go). */
import { type MethodHandler, method, serverStreaming, unary } from "../../base/grpc/server.ts";
import { GrpcError, grpcCodes } from "../../base/grpc/status.ts";
import type { Builder } from "../../build/build.ts";
import type { BuildCacheRecord, CachePruneRequest } from "../../build/build-cache.ts";
import { timestampOf } from "../../wire/buildkit/common.ts";
import * as control from "../../wire/buildkit/control.ts";
import type { Decoded, Encodable } from "../../wire/protobuf.ts";
import type { BuildRecord, BuildRecords } from "./build-record.ts";
import type { Solver } from "./solve.ts";
import { buildkitVersion, type workers } from "./workers.ts";

const eventTypes = { started: 0, complete: 1, deleted: 2 } as const;

export function controlMethods(
  solver: Solver,
  records: BuildRecords,
  builder: Builder,
  listWorkers: () => ReturnType<typeof workers>,
): [string, MethodHandler<never, never>][] {
  const at = (name: string): string => control.controlService + name;
  return [
    method(
      at("Solve"),
      unary({ incoming: control.solveRequest, outgoing: control.solveResponse }, async (request, call) => ({
        ExporterResponse: await solver.solve(request, call.signal),
      })),
    ),
    method(
      at("Status"),
      serverStreaming(
        { incoming: control.statusRequest, outgoing: control.statusResponse },
        async ({ Ref }, call) => {
          const record = await records.arrival(Ref, call.signal);
          if (record === undefined) throw new GrpcError(grpcCodes.unknown, `no such job ${Ref}`);
          for await (const message of record.messages(call.signal)) {
            call.send(message);
            if (call.isFull) await call.drained();
          }
        },
      ),
    ),
    method(
      at("ListWorkers"),
      unary({ incoming: control.listWorkersRequest, outgoing: control.listWorkersResponse }, async () => ({
        record: await listWorkers(),
      })),
    ),
    method(
      at("Info"),
      unary({ incoming: control.infoRequest, outgoing: control.infoResponse }, () => ({ buildkitVersion })),
    ),
    method(
      at("DiskUsage"),
      unary(
        { incoming: control.diskUsageRequest, outgoing: control.diskUsageResponse },
        async ({ filter }) => ({
          record: (await builder.cacheList()).filter((record) => matches(record, filter)).map(usageRecord),
        }),
      ),
    ),
    method(
      at("Prune"),
      serverStreaming(
        { incoming: control.pruneRequest, outgoing: control.usageRecord },
        async (request, call) => {
          await builder.prune(pruneOf(request), (record) => call.send(usageRecord(record)));
        },
      ),
    ),
    ...historyMethods(records),
  ];
}

function usageRecord(record: BuildCacheRecord): Encodable<typeof control.usageRecord> {
  const time = (text: string): ReturnType<typeof timestampOf> =>
    timestampOf(BigInt(Date.parse(text)) * 1_000_000n);
  return {
    ID: record.id,
    Mutable: record.type === "exec.cachemount" || record.type === "source.local",
    InUse: record.inUse,
    Size: record.sizeBytes,
    Parents: record.parents,
    CreatedAt: time(record.createdAt),
    ...(record.lastUsedAt === undefined ? {} : { LastUsedAt: time(record.lastUsedAt) }),
    UsageCount: record.usageCount,
    Description: record.description,
    RecordType: record.type,
    Shared: record.shared,
  };
}

/** `key==value`, `key!=value`, `key~=part` with a comma for "and"; several of them for "or" (containerd's filters). */
function matches(record: BuildCacheRecord, filters: readonly string[]): boolean {
  // An empty one, which clients send when nothing was asked, fits all.
  if (filters.length === 0 || filters.includes("")) return true;
  const fields = new Map([
    ["id", record.id],
    ["type", record.type],
    ["description", record.description],
    ["inuse", String(record.inUse)],
    ["shared", String(record.shared)],
    ["private", String(!record.shared)],
    ["parents", record.parents.join(";")],
  ]);
  return filters.some((filter) =>
    filter.split(",").every((part) => {
      const [, key = "", operator, value = ""] = /^(\w+)(?:(==|!=|~=|=)(.*))?$/.exec(part) ?? [];
      const field = fields.get(key);
      if (operator === undefined) return field === "true" || (field !== undefined && field !== "false");
      if (operator === "~=") return field?.includes(value) === true;
      return (field === value) === (operator !== "!=");
    }),
  );
}

function pruneOf(request: Decoded<typeof control.pruneRequest>): CachePruneRequest {
  const filters = new Map<string, string[]>();
  for (const part of request.filter.flatMap((filter) => filter.split(",")).filter(Boolean)) {
    const [, key = part, value = "true"] = /^(\w+)(?:==|=)(.*)$/.exec(part) ?? [];
    filters.set(key, [...(filters.get(key) ?? []), value]);
  }
  if (request.keepDuration > 0) filters.set("until", [`${Math.floor(request.keepDuration / 1e9)}s`]);
  return {
    all: request.all,
    filters: Object.fromEntries(filters),
    ...(request.reservedSpace > 0 ? { reservedBytes: request.reservedSpace } : {}),
    ...(request.maxUsedSpace > 0 ? { maxUsedBytes: request.maxUsedSpace } : {}),
    ...(request.minFreeSpace > 0 ? { minFreeBytes: request.minFreeSpace } : {}),
  };
}

function historyMethods(records: BuildRecords): [string, MethodHandler<never, never>][] {
  const event = (
    record: BuildRecord,
    type: keyof typeof eventTypes,
  ): Encodable<typeof control.historyEvent> => ({
    type: eventTypes[type],
    record: record.history(),
  });
  return [
    method(
      `${control.controlService}ListenBuildHistory`,
      serverStreaming(
        { incoming: control.historyRequest, outgoing: control.historyEvent },
        async (request, call) => {
          const wanted = (record: BuildRecord): boolean => request.Ref === "" || record.ref === request.Ref;
          using stack = new DisposableStack();
          if (!request.EarlyExit)
            stack.defer(
              records.listen((record, change) => {
                if (wanted(record)) call.send(event(record, change));
              }),
            );
          for (const record of records.all)
            if (wanted(record) && !(request.ActiveOnly && record.isComplete))
              call.send(event(record, record.isComplete ? "complete" : "started"));
          if (request.EarlyExit || call.signal.aborted) return;
          await new Promise<void>((resolve) =>
            call.signal.addEventListener("abort", () => resolve(), { once: true }),
          );
        },
      ),
    ),
    method(
      `${control.controlService}UpdateBuildHistory`,
      unary(
        { incoming: control.updateHistoryRequest, outgoing: control.updateHistoryResponse },
        (request) => {
          const record = records.find(request.Ref);
          if (record === undefined)
            throw new GrpcError(grpcCodes.notFound, `no build ${request.Ref} in the history`);
          if (request.Delete) records.remove(record);
          else if (!request.Finalize) record.pinned = request.Pinned;
          return {};
        },
      ),
    ),
  ];
}
