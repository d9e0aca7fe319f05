import type { ProgressMessage } from "../wire/image.ts";
import { ClientError } from "./errors.ts";
import type { CallOptions } from "./options.ts";
import { registryHeader } from "./registry-header.ts";
import type { Transport } from "./transport.ts";

/** What `POST /build` takes, in its own words; what is not given is left out. */
export interface BuildQuery extends CallOptions {
  /** The context as a tar, plain or compressed; undefined when `remote` names it. */
  readonly context?: AsyncIterable<Uint8Array>;
  readonly remote?: string;
  readonly dockerfile?: string;
  readonly tags?: readonly string[];
  readonly buildArgs?: Readonly<Record<string, string | null>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly target?: string;
  readonly noCache?: boolean;
  readonly pull?: boolean;
  readonly cacheFrom?: readonly string[];
  readonly networkMode?: string;
  readonly platform?: string;
  /** `name:address`. */
  readonly extraHosts?: readonly string[];
  readonly shmSizeBytes?: number;
  readonly memoryBytes?: number;
  /** `name`, `soft`, `hard`, as the API takes them. */
  readonly ulimits?: readonly { readonly Name: string; readonly Soft: number; readonly Hard: number }[];
  /** Credentials by the registry's name, for base images. */
  readonly registries?: Readonly<Record<string, unknown>>;
}

/** Building images by the classic protocol: the context goes with the request. */
export interface BuildApi {
  /** `POST /build`. Throws `ClientError` for an error object within the stream. */
  imageBuild(query: BuildQuery): AsyncIterable<BuildMessage>;
}

/** A line of a build; `aux` carries the id of the image. */
export interface BuildMessage extends ProgressMessage {
  aux?: { ID?: string };
}

/** {@link BuildApi} over a connection to a daemon. */
export function buildApi(transport: Transport): BuildApi {
  return { imageBuild: (query) => build(transport, query) };
}

const json = (value: unknown): string | undefined =>
  value === undefined ? undefined : JSON.stringify(value);

async function* build(transport: Transport, query: BuildQuery): AsyncGenerator<BuildMessage, void, void> {
  const { registries } = query;
  const messages = transport.jsonLines<BuildMessage>("POST", "/build", {
    query: {
      buildargs: json(query.buildArgs),
      cachefrom: json(query.cacheFrom),
      dockerfile: query.dockerfile,
      extrahosts: query.extraHosts,
      labels: json(query.labels),
      memory: query.memoryBytes,
      networkmode: query.networkMode,
      nocache: query.noCache,
      platform: query.platform,
      pull: query.pull,
      remote: query.remote,
      rm: true,
      shmsize: query.shmSizeBytes,
      t: query.tags,
      target: query.target,
      ulimits: json(query.ulimits),
      version: "1",
    },
    headers: {
      "Content-Type": "application/x-tar",
      "X-Registry-Config": registryHeader(registries ?? {}),
    },
    ...(query.context === undefined ? {} : { stream: query.context }),
    signal: query.signal,
  });
  for await (const message of messages) {
    const failure = message.errorDetail?.message ?? message.error;
    if (failure !== undefined) throw new ClientError(0, failure, message.errorDetail?.code);
    yield message;
  }
}
