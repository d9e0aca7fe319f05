import type { ImageDeleteEntry } from "../wire/image.ts";
import type { DiskUsageResponse } from "../wire/disk-usage.ts";
import { filtersParameter, type CallOptions, type FilterValues } from "./options.ts";
import type { Transport } from "./transport.ts";

type PruneQuery = CallOptions & { filters?: FilterValues };

/** What takes room, and removing what nobody uses. */
export interface PruneApi {
  /** `GET /system/df`. */
  diskUsage(options?: CallOptions & { verbose?: boolean }): Promise<DiskUsageResponse>;
  /** `POST /containers/prune`. */
  containerPrune(query?: PruneQuery): Promise<{ removed: string[]; reclaimedBytes: number }>;
  /** `POST /images/prune`. */
  imagePrune(query?: PruneQuery): Promise<{ removed: ImageDeleteEntry[]; reclaimedBytes: number }>;
  /** `POST /networks/prune`. */
  networkPrune(query?: PruneQuery): Promise<{ removed: string[] }>;
  /** `POST /volumes/prune`. */
  volumePrune(query?: PruneQuery): Promise<{ removed: string[]; reclaimedBytes: number }>;
  /** `POST /build/prune`. */
  buildCachePrune(
    query?: PruneQuery & { all?: boolean; keepBytes?: number },
  ): Promise<{ removed: string[]; reclaimedBytes: number }>;
}

/** {@link PruneApi} over a connection to a daemon. */
export function pruneApi(transport: Transport): PruneApi {
  const prune = async (
    kind: "Containers" | "Images" | "Volumes" | "Networks",
    { filters, signal }: PruneQuery = {},
  ): Promise<{ removed: unknown[]; reclaimedBytes: number }> => {
    const answer = await transport.json<Record<string, unknown>>("POST", `/${kind.toLowerCase()}/prune`, {
      query: { filters: filtersParameter(filters) },
      signal,
    });
    return {
      removed: (answer[`${kind}Deleted`] ?? []) as unknown[],
      reclaimedBytes: Number(answer["SpaceReclaimed"] ?? 0),
    };
  };
  return {
    diskUsage: ({ signal, verbose } = {}) =>
      transport.json("GET", "/system/df", { query: verbose === true ? { verbose: "1" } : {}, signal }),
    containerPrune: (query) => prune("Containers", query) as ReturnType<PruneApi["containerPrune"]>,
    imagePrune: (query) => prune("Images", query) as ReturnType<PruneApi["imagePrune"]>,
    networkPrune: (query) => prune("Networks", query) as Promise<{ removed: string[] }>,
    buildCachePrune: async ({ filters, all, keepBytes, signal } = {}) => {
      const answer = await transport.json<{ CachesDeleted?: string[] | null; SpaceReclaimed?: number }>(
        "POST",
        "/build/prune",
        {
          query: {
            filters: filtersParameter(filters),
            ...(all === true ? { all: "1" } : {}),
            ...(keepBytes === undefined ? {} : { "keep-storage": String(keepBytes) }),
          },
          signal,
        },
      );
      return { removed: answer.CachesDeleted ?? [], reclaimedBytes: answer.SpaceReclaimed ?? 0 };
    },
    volumePrune: (query) => prune("Volumes", query) as ReturnType<PruneApi["volumePrune"]>,
  };
}
