import type {
  ImageDeleteEntry,
  ImageHistoryEntry,
  ImageInspect,
  ImageSearchResult,
  ImageSummary,
  ProgressMessage,
} from "../wire/image.ts";
import type { Readable } from "node:stream";
import { ClientError } from "./errors.ts";
import { filtersParameter, platformParameter, type CallOptions, type FilterValues } from "./options.ts";
import { pathPart, type Transport } from "./transport.ts";

export interface ImageListQuery extends CallOptions {
  readonly all?: boolean;
  readonly digests?: boolean;
  readonly sharedSize?: boolean;
  /** With the platforms of each image. */
  readonly manifests?: boolean;
  readonly filters?: FilterValues;
}

export interface PullQuery extends CallOptions {
  /** Without a tag. */
  readonly image: string;
  /** Tag or digest; undefined for every tag. */
  readonly tag?: string;
  /** `os/architecture[/variant]`. */
  readonly platform?: string;
  /** Value of the X-Registry-Auth header; anonymous when undefined. */
  readonly registryAuth?: string;
}

export interface PushQuery extends CallOptions {
  /** Without a tag. */
  readonly image: string;
  /** Undefined for every tag. */
  readonly tag?: string;
  /** Only when the image is for this platform: `os/architecture[/variant]`. */
  readonly platform?: string;
  /** Value of the X-Registry-Auth header; anonymous when undefined. */
  readonly registryAuth?: string;
}

export interface ImportQuery extends CallOptions {
  /** A URL that the daemon reads, or the tar archive itself, plain or compressed. */
  readonly source: string | AsyncIterable<Uint8Array>;
  readonly repository?: string;
  readonly tag?: string;
  readonly message?: string;
  /** Dockerfile instructions for the configuration. */
  readonly changes?: readonly string[];
  readonly platform?: string;
}

/** What can be asked about images. A reference or an id names an image. */
export interface ImageApi {
  /** `GET /images/json`. */
  imageList(query?: ImageListQuery): Promise<ImageSummary[]>;
  /** `GET /images/search`: Docker Hub, or the registry that the term begins with. */
  imageSearch(
    term: string,
    query?: CallOptions & { limit?: number; filters?: FilterValues; registryAuth?: string },
  ): Promise<ImageSearchResult[]>;
  /** `GET /images/{name}/json`. */
  imageInspect(name: string, query?: CallOptions & { platform?: string }): Promise<ImageInspect>;
  /** `GET /images/{name}/history`. */
  imageHistory(name: string, query?: CallOptions & { platform?: string }): Promise<ImageHistoryEntry[]>;
  /** `POST /images/create?fromImage=`. Throws `ClientError` for an error object within the stream. */
  imagePull(query: PullQuery): AsyncIterable<ProgressMessage>;
  /** `POST /images/{name}/push`. Throws `ClientError` for an error object within the stream. */
  imagePush(query: PushQuery): AsyncIterable<ProgressMessage>;
  /** `POST /images/create?fromSrc=`. */
  imageImport(query: ImportQuery): AsyncIterable<ProgressMessage>;
  /** `POST /images/load`: an archive of docker save or an OCI layout, plain or compressed. */
  imageLoad(
    archive: AsyncIterable<Uint8Array>,
    query?: CallOptions & { quiet?: boolean; platform?: string },
  ): AsyncIterable<ProgressMessage>;
  /** `GET /images/get`: an archive with these images. */
  imageSave(names: readonly string[], query?: CallOptions & { platform?: string }): Promise<Readable>;
  /** `POST /images/{name}/tag`. */
  imageTag(name: string, repository: string, tag: string, options?: CallOptions): Promise<void>;
  /** `DELETE /images/{name}`. */
  imageRemove(
    name: string,
    query?: CallOptions & { force?: boolean; noPrune?: boolean; platforms?: readonly string[] },
  ): Promise<ImageDeleteEntry[]>;
}

const anonymous = "e30=";

/** {@link ImageApi} over a connection to a daemon. */
export function imageApi(transport: Transport): ImageApi {
  return { ...imageQueries(transport), ...imageStreams(transport) };
}

function imageQueries(
  transport: Transport,
): Pick<
  ImageApi,
  "imageList" | "imageSearch" | "imageInspect" | "imageHistory" | "imageTag" | "imageRemove"
> {
  const path = (name: string, action: string): string => `/images/${pathPart(name)}${action}`;
  return {
    imageList: ({ all, digests, sharedSize, manifests, filters, signal } = {}) =>
      transport.json("GET", "/images/json", {
        query: { all, digests, manifests, "shared-size": sharedSize, filters: filtersParameter(filters) },
        signal,
      }),
    imageSearch: (term, { limit, filters, registryAuth, signal } = {}) =>
      transport.json("GET", "/images/search", {
        query: {
          term,
          limit: limit === undefined ? undefined : String(limit),
          filters: filtersParameter(filters),
        },
        headers: { "X-Registry-Auth": registryAuth ?? anonymous },
        signal,
      }),
    imageInspect: (name, { platform, signal } = {}) =>
      transport.json("GET", path(name, "/json"), {
        query: { platform: platformParameter(platform) },
        signal,
      }),
    imageHistory: (name, { platform, signal } = {}) =>
      transport.json("GET", path(name, "/history"), {
        query: { platform: platformParameter(platform) },
        signal,
      }),
    imageTag: async (name, repository, tag, { signal } = {}) => {
      await transport.empty("POST", path(name, "/tag"), { query: { repo: repository, tag }, signal });
    },
    imageRemove: (name, { force, noPrune, platforms, signal } = {}) =>
      transport.json("DELETE", path(name, ""), {
        query: {
          force,
          noprune: noPrune,
          platforms: platforms?.map((platform) => platformParameter(platform)!),
        },
        signal,
      }),
  };
}

function imageStreams(
  transport: Transport,
): Pick<ImageApi, "imagePull" | "imagePush" | "imageImport" | "imageLoad" | "imageSave"> {
  return {
    imagePull: ({ image, tag, platform, registryAuth, signal }) =>
      progress(transport, "/images/create", {
        query: { fromImage: image, platform, tag },
        headers: { "X-Registry-Auth": registryAuth ?? anonymous },
        signal,
      }),
    imagePush: ({ image, tag, platform, registryAuth, signal }) =>
      progress(transport, `/images/${pathPart(image)}/push`, {
        query: { platform: platformParameter(platform), tag },
        headers: { "X-Registry-Auth": registryAuth ?? anonymous },
        signal,
      }),
    imageImport: ({ source, repository, tag, message, changes, platform, signal }) => {
      const fromSrc = typeof source === "string" ? source : "-";
      return progress(transport, "/images/create", {
        query: { changes, fromSrc, message, platform, repo: repository, tag },
        signal,
        ...(typeof source === "string" ? {} : { stream: source, headers: { "Content-Type": "text/plain" } }),
      });
    },
    imageLoad: (archive, { quiet, platform, signal } = {}) =>
      progress(transport, "/images/load", {
        query: { platform: platformParameter(platform), quiet },
        headers: { "Content-Type": "application/x-tar" },
        stream: archive,
        signal,
      }),
    imageSave: async (names, { platform, signal } = {}) => {
      const query = { names, platform: platformParameter(platform) };
      return (await transport.request("GET", "/images/get", { query, signal })).body;
    },
  };
}

async function* progress(
  transport: Transport,
  path: string,
  options: Parameters<Transport["request"]>[2],
): AsyncGenerator<ProgressMessage, void, void> {
  for await (const message of transport.jsonLines<ProgressMessage>("POST", path, options)) {
    const failure = message.errorDetail?.message ?? message.error;
    if (failure !== undefined) throw new ClientError(0, failure, message.errorDetail?.code);
    yield message;
  }
}
