/** The registry's paths. A repository's name has slashes, so a path is read from its end. */
import { deleteBlob, readBlob } from "./blobs.ts";
import { cancelUpload, patchUpload, putUpload, startUpload, uploadStatus } from "./blob-uploads.ts";
import { RequestError } from "./errors.ts";
import { answerBytes, answerJson, type Exchange } from "./exchange.ts";
import {
  deleteManifest,
  listReferrers,
  listRepositories,
  listTags,
  putManifest,
  readManifest,
} from "./manifests.ts";
import { refreshGauges } from "./gauges.ts";
import { checkRepository } from "./names.ts";
import { showRepositories, showTags } from "./web-page.ts";

type Handler = (exchange: Exchange) => Promise<void>;

export interface Route {
  /** For metrics. */
  readonly name: string;
  readonly isApi: boolean;
  readonly isWrite: boolean;
  readonly isDelete: boolean;
  readonly repository: string;
  readonly reference: string;
  readonly run: Handler;
}

interface Pattern {
  readonly name: string;
  readonly path: RegExp;
  readonly isApi: boolean;
  readonly methods: Readonly<Record<string, Handler>>;
}

const reading = (handler: Handler): Record<string, Handler> => ({ GET: handler, HEAD: handler });

const base: Handler = async (exchange) => answerJson(exchange, {});

const showMetrics: Handler = async (exchange) => {
  refreshGauges(exchange.stores);
  const headers = { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" };
  answerBytes(exchange, 200, headers, exchange.stores.metrics.render());
};

const patterns: readonly Pattern[] = [
  { name: "base", path: /^\/v2\/?$/, isApi: true, methods: reading(base) },
  { name: "catalog", path: /^\/v2\/_catalog$/, isApi: true, methods: reading(listRepositories) },
  { name: "tags", path: /^\/v2\/(.+)\/tags\/list$/, isApi: true, methods: reading(listTags) },
  {
    name: "uploads",
    path: /^\/v2\/(.+)\/blobs\/uploads\/?$/,
    isApi: true,
    methods: { POST: startUpload },
  },
  {
    name: "upload",
    path: /^\/v2\/(.+)\/blobs\/uploads\/([^/]+)$/,
    isApi: true,
    methods: { ...reading(uploadStatus), PATCH: patchUpload, PUT: putUpload, DELETE: cancelUpload },
  },
  {
    name: "blob",
    path: /^\/v2\/(.+)\/blobs\/([^/]+)$/,
    isApi: true,
    methods: { ...reading(readBlob), DELETE: deleteBlob },
  },
  {
    name: "manifest",
    path: /^\/v2\/(.+)\/manifests\/([^/]+)$/,
    isApi: true,
    methods: { ...reading(readManifest), PUT: putManifest, DELETE: deleteManifest },
  },
  {
    name: "referrers",
    path: /^\/v2\/(.+)\/referrers\/([^/]+)$/,
    isApi: true,
    methods: reading(listReferrers),
  },
  { name: "page", path: /^\/$/, isApi: false, methods: reading(showRepositories) },
  { name: "page", path: /^\/repositories\/(.+?)\/?$/, isApi: false, methods: reading(showTags) },
  { name: "metrics", path: /^\/metrics$/, isApi: false, methods: reading(showMetrics) },
];

/** Throws 404 for a path that is none, 405 for a method that it has not, and for names that cannot be. */
export function findRoute(method: string, rawPath: string): Route {
  const path = decoded(rawPath);
  for (const pattern of patterns) {
    const match = pattern.path.exec(path);
    if (match === null) continue;
    const run = pattern.methods[method];
    if (run === undefined)
      throw new RequestError(405, "UNSUPPORTED", `the method ${method} is not supported here`, {
        headers: { Allow: Object.keys(pattern.methods).join(", ") },
      });
    const [, repository, reference = ""] = match;
    if (repository !== undefined) checkRepository(repository);
    const isDelete = method === "DELETE" && pattern.name !== "upload";
    const isWrite = method !== "GET" && method !== "HEAD";
    const { name, isApi } = pattern;
    return { name, isApi, isWrite, isDelete, repository: repository ?? "", reference, run };
  }
  throw new RequestError(
    404,
    path.startsWith("/v2/") ? "NAME_UNKNOWN" : "UNSUPPORTED",
    "there is nothing at this path",
  );
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new RequestError(400, "NAME_INVALID", "the path cannot be read");
  }
}
