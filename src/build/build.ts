/**
 * Building images: what a build is asked for, what it tells while it runs, and what comes of it. The ways in (the Engine's
 * classic `POST /build`, BuildKit's `Control.Solve`) each make a {@link BuildRequest}; the builder knows none of them.
 *
 * Events are in BuildKit's terms (api/services/control/control.proto: Vertex, VertexStatus, VertexLog, VertexWarning), so
 * that a Status stream is a matter of writing them down.
 */
import type { Duplex, Readable, Writable } from "node:stream";
import type { ImageConfigFile, Platform } from "../oci/image-spec.ts";
import type { RegistryCredentials } from "../registry/registry.ts";
import type { BuildCacheRecord, CachePruneRequest } from "./build-cache.ts";
import type { SourceFile, SourceRange } from "./dockerfile/ast.ts";
import type { FileTree } from "./files/file-tree.ts";
import type { GcRule } from "./gc-policy.ts";
import type { Layers } from "./layers.ts";

// What goes in

/** One file, directory or link of a context. Names are bytes as latin1, separated by `/`, without one in front. */
export interface ContextFile {
  readonly path: string;
  /** As st_mode: type and permissions. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of a regular file; else 0. */
  readonly sizeBytes: number;
  /** ns since the epoch. */
  readonly timeNs: bigint;
  /** Target of a symbolic link. */
  readonly linkTarget?: string;
  /** Path of an earlier file of the same listing that this is another name of. */
  readonly hardLinkTo?: string;
  readonly device?: { readonly major: number; readonly minor: number };
  readonly xattrs?: ReadonlyMap<string, Buffer>;
}

/** A Dockerfile, or what says which files to ignore, is read into memory whole. */
export const maxDockerfileBytes = 16 * 1024 * 1024;

/** Files that can be listed, and read one by one. */
export interface FileListing extends AsyncDisposable {
  /** Each directory before what is in it, names of a directory in the order of their bytes. */
  readonly files: AsyncIterable<ContextFile>;
  /** The bytes of a regular file of `files`; also while the listing goes on, and several at a time. */
  read(file: ContextFile): AsyncIterable<Uint8Array>;
}

/** A directory at the client's: it lists files' metadata and sends only the bytes that are asked for. */
export interface RemoteDirectory {
  readonly kind: "remote";
  /** What the client calls it: `context`, `dockerfile`, … */
  readonly name: string;
  /** The same for the same directory of the same client in each build: what was received is kept under it. */
  readonly sharedKey: string;
  open(options: {
    /** Patterns as in BuildKit's FileSync headers; empty for everything. */
    readonly include: readonly string[];
    readonly exclude: readonly string[];
    readonly followPaths: readonly string[];
    readonly signal: AbortSignal;
  }): Promise<FileListing>;
}

/** Blobs at the client's, by their digest. */
export interface ClientStore {
  /** Throws `notFound`. The bytes are as the client sends them: whoever keeps them compares the digest. */
  read(digest: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Writing what is there already is no error. */
  write(
    blob: { readonly digest: string; readonly sizeBytes: number; readonly data: AsyncIterable<Uint8Array> },
    signal: AbortSignal,
  ): Promise<void>;
}

export type ContextSource =
  | RemoteDirectory
  /** A tar, plain or compressed, as `POST /build` sends it. Read once. */
  | { readonly kind: "tar"; readonly stream: Readable }
  /** A directory of this machine. */
  | { readonly kind: "directory"; readonly path: string }
  /** `https://host/repo.git#ref:subdir`, or BuildKit's `git://`, `git@host:path` forms. */
  | { readonly kind: "git"; readonly url: string; readonly keepGitDirectory?: boolean }
  /** A tar is unpacked, anything else is a Dockerfile; with `fileName` it is a file of that name, whatever it is. */
  | { readonly kind: "http"; readonly url: string; readonly fileName?: string }
  /** What an earlier build has made. */
  | { readonly kind: "built"; readonly images: readonly BuiltImage[]; readonly name: string }
  | { readonly kind: "image"; readonly reference: string; readonly platform?: Platform }
  /** A manifest or index in an OCI layout of the client's. */
  | {
      readonly kind: "layout";
      readonly store: ClientStore;
      readonly digest: string;
      /** For people. */
      readonly name: string;
    }
  /** No files at all. */
  | { readonly kind: "empty" };

export interface SecretProvider {
  /** Undefined when the client has no such secret. */
  get(id: string): Promise<Uint8Array | undefined>;
}

export interface SshProvider {
  /** Whether the client forwards an agent of that id (`default` when none was named). */
  has(id: string): Promise<boolean>;
  /** One connection to the agent. */
  connect(id: string): Promise<Duplex>;
}

export interface CredentialProvider {
  /** For a registry as image names write it (`docker.io`, `registry:5000`). */
  get(host: string): Promise<RegistryCredentials | undefined>;
}

export interface BuildLimits {
  readonly memoryBytes?: number;
  readonly memorySwapBytes?: number;
  readonly cpuShares?: number;
  readonly cpuPeriodUs?: number;
  readonly cpuQuotaUs?: number;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  readonly shmSizeBytes?: number;
  readonly ulimits?: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly cgroupParent?: string;
}

/** `type=registry,ref=…`, `type=local,src=…`, `type=inline`, … as key and value. */
export interface CacheAddress {
  readonly type: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Where a result goes. */
export type BuildExport =
  /** Into the image store, under all the names; pushed too when asked. */
  | {
      readonly type: "image";
      readonly names: readonly string[];
      readonly push?: boolean;
      readonly attributes?: Readonly<Record<string, string>>;
    }
  /** The files themselves. */
  | {
      readonly type: "local";
      send(listing: FileListing, signal: AbortSignal): Promise<void>;
      readonly attributes?: Readonly<Record<string, string>>;
    }
  /** An archive: `tar` of the files, `oci` or `docker` of the image. */
  | {
      readonly type: "tar" | "oci" | "docker";
      readonly names: readonly string[];
      open(): Promise<Writable>;
      /** Blob by blob into an OCI layout of the client's, instead of an archive. */
      readonly store?: ClientStore;
      readonly attributes?: Readonly<Record<string, string>>;
    }
  /** The cache alone. */
  | { readonly type: "none" };

export interface BuildRequest {
  /** Names the build: for `cancel` and events. */
  readonly id: string;
  readonly signal: AbortSignal;
  /** Called in the order of things; must not throw. */
  readonly onEvent: (event: BuildEvent) => void;
  /**
   * Asked after each piece of a step's output: a promise when whoever is told cannot take more, and no more is read from
   * the step until it resolves. It must resolve when `signal` is aborted.
   */
  readonly outputRoom?: () => Promise<void> | undefined;
  readonly context: ContextSource;
  /** The Dockerfile's path in its source; `Dockerfile` by default. */
  readonly dockerfile?: {
    readonly name?: string;
    /** Where it is, when not in the context (BuildKit's `dockerfile` directory). */
    readonly source?: ContextSource;
    /** The text itself: then nothing is looked for. */
    readonly text?: string;
  };
  /** Stage to build, by name or number; empty for the last. */
  readonly target?: string;
  readonly buildArgs?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** `--build-context NAME=…`. */
  readonly namedContexts?: Readonly<Record<string, ContextSource>>;
  /** Empty for this machine's. More than one makes an index. */
  readonly platforms?: readonly Platform[];
  readonly noCache?: boolean;
  /** Puts an image of each step of the target's stage on record, each the next one's parent, as the classic builder does. */
  readonly keepsSteps?: boolean;
  /** Stages that take nothing from the cache. */
  readonly noCacheFilter?: readonly string[];
  /** Asks registries for base images also when they are here. */
  readonly pull?: boolean;
  readonly networkMode?: "default" | "none" | "host" | (string & {});
  /** `name:address`. */
  readonly extraHosts?: readonly string[];
  readonly hostname?: string;
  readonly limits?: BuildLimits;
  /** `network.host`, `security.insecure`: what `RUN --network=host` and `--security=insecure` need. */
  readonly entitlements?: readonly string[];
  readonly secrets?: SecretProvider;
  readonly ssh?: SshProvider;
  readonly credentials?: CredentialProvider;
  /** Stores of the client's for cache of the type `local`, by its directory; undefined for a directory of this machine. */
  readonly cacheStore?: (directory: string) => ClientStore | undefined;
  readonly cacheFrom?: readonly CacheAddress[];
  readonly cacheTo?: readonly CacheAddress[];
  readonly exports: readonly BuildExport[];
  /** `mode=min` or `mode=max`; undefined for none. */
  readonly provenance?: {
    readonly mode: "min" | "max";
    readonly attributes?: Readonly<Record<string, string>>;
  };
  /** Lists of what is in the images, by a scanner's image; the parameters are in its environment. */
  readonly sbom?: { readonly generator?: string; readonly parameters?: Readonly<Record<string, string>> };
  /** Report what the build checks find, and build nothing (`--check`). */
  readonly checkOnly?: boolean;
  /** Options of the client's that have no meaning here but belong into the provenance. */
  readonly frontendAttributes?: Readonly<Record<string, string>>;
}

// What is told meanwhile

export type { SourceFile, SourceRange };

export type BuildEvent =
  /** A vertex became known, started, ended. Each tells the whole state; times are ns since the epoch. */
  | {
      readonly kind: "vertex";
      /** `sha256:…`, the same in all events of the vertex. */
      readonly digest: string;
      readonly inputs: readonly string[];
      /** `[build 2/5] RUN make`. */
      readonly name: string;
      readonly cached: boolean;
      readonly startedNs?: bigint;
      readonly completedNs?: bigint;
      readonly error?: string;
    }
  | {
      readonly kind: "log";
      readonly vertex: string;
      readonly stream: "stdout" | "stderr";
      readonly data: Uint8Array;
      readonly timeNs: bigint;
    }
  /** Progress of a part of a vertex: a layer that is fetched, a context that is sent. */
  | {
      readonly kind: "status";
      readonly vertex: string;
      readonly id: string;
      readonly name?: string;
      readonly current: number;
      /** 0 for unknown. */
      readonly total: number;
      readonly timeNs: bigint;
      readonly startedNs?: bigint;
      readonly completedNs?: bigint;
    }
  | {
      readonly kind: "warning";
      readonly vertex: string;
      readonly level: number;
      readonly short: string;
      readonly detail: readonly string[];
      readonly url: string;
      readonly source?: SourceFile;
      readonly ranges: readonly SourceRange[];
    }
  /** For the classic stream, which tells steps rather than vertices. */
  | {
      readonly kind: "step";
      readonly vertex: string;
      /** From 1; `total` counts those of the stages that are built. */
      readonly index: number;
      readonly total: number;
      /** The instruction as it was written, variables replaced. */
      readonly text: string;
      /** `ran` has a container of that id; `id` is the image that the step made, shown in short. */
      readonly state: "begin" | "cached" | "running" | "removed" | "done";
      readonly id?: string;
    };

// What comes out

/** What a build has made for a platform. Its layers stay as long as the cache or an image has them. */
export interface BuiltImage {
  readonly platform: Platform;
  readonly config: ImageConfigFile;
  readonly layers: Layers;
}

/** Files that were opened to be looked at; disposing gives them back. */
export interface OpenedFiles extends AsyncDisposable {
  readonly tree: FileTree;
}

export interface BuildResult {
  readonly images: readonly BuiltImage[];
  /** Id of the image (digest of its configuration); undefined when no image was made (local and tar exports). */
  readonly imageId: string | undefined;
  /** Manifest or index. */
  readonly descriptor:
    | { readonly mediaType: string; readonly digest: string; readonly size: number }
    | undefined;
  readonly names: readonly string[];
  /** BuildKit's exporter response: `containerimage.digest`, `containerimage.config.digest`, `image.name`, … */
  readonly metadata: Readonly<Record<string, string>>;
  /** Build arguments that the Dockerfile does not know. */
  readonly unusedBuildArgs: readonly string[];
}

/** Where in the Dockerfile a build failed, for the excerpt that clients draw. */
export interface BuildFailure {
  readonly source: SourceFile;
  readonly ranges: readonly SourceRange[];
  /** Vertex that failed. */
  readonly vertex: string | undefined;
  /** Exit code of a RUN; undefined for other faults. */
  readonly exitCode: number | undefined;
  /** The command as the classic builder's words show it. */
  readonly command: string | undefined;
  /** What the step wrote last. */
  readonly lastLines: readonly string[];
}

/** Whose question it is that needs files or images. */
export type LookingRequest = Pick<
  BuildRequest,
  "id" | "signal" | "onEvent" | "credentials" | "secrets" | "ssh" | "pull"
>;

export interface Builder {
  /**
   * Builds. Throws `EngineError`; a {@link BuildFailure} is in `buildFailureOf(error)`. Nothing but cache is left of a
   * build that failed.
   */
  build(request: BuildRequest): Promise<BuildResult>;
  /** Opens a source's files, without a build. Throws what opening a context throws. */
  openFiles(source: ContextSource, asked: LookingRequest): Promise<OpenedFiles>;
  /** An image's configuration, brought in when it is not here. Throws `notFound`, `unavailable`. */
  imageConfig(
    reference: string,
    platform: Platform | undefined,
    asked: LookingRequest,
  ): Promise<{ readonly digest: string; readonly config: Uint8Array }>;
  /** Ends a build that runs. No error when there is none of that id. */
  cancel(id: string): void;
  cacheList(): Promise<BuildCacheRecord[]>;
  /** By which the cache is kept small after builds. */
  readonly gcRules: readonly GcRule[];
  /** `onRecord` is told each record as it goes. */
  prune(
    request: CachePruneRequest,
    onRecord?: (record: BuildCacheRecord) => void,
  ): Promise<{ removed: string[]; reclaimedBytes: number }>;
}

const failures = new WeakMap<Error, BuildFailure>();

/** Notes where in the Dockerfile an error comes from; the first note stays. */
export function withBuildFailure<E extends Error>(error: E, failure: BuildFailure): E {
  if (!failures.has(error)) failures.set(error, failure);
  return error;
}

/** Where a build failed, when that is known. */
export function buildFailureOf(error: unknown): BuildFailure | undefined {
  return error instanceof Error ? failures.get(error) : undefined;
}
