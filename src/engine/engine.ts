/**
 * The engine's use cases: everything that the API can ask for. Each is a verb in a file of its own; this is the one
 * interface that `api/` and a later CRI server see.
 *
 * Names and ids are given as the user wrote them; the engine resolves them. Every method throws `EngineError`.
 */
import type { Platform } from "../oci/image-spec.ts";
import type { Readable } from "node:stream";
import type {
  ChangeEntry,
  ContainerConfig,
  ContainerCreateRequest,
  ContainerCreateResponse,
  ContainerInspect,
  ContainerSummary,
  EndpointSettings,
  HostConfig,
  PathStat,
  TopResponse,
  WaitResponse,
} from "../wire/container.ts";
import type { ExecCreateRequest, ExecInspect, ExecStartRequest } from "../wire/exec.ts";
import type {
  ImageDeleteEntry,
  ImageHistoryEntry,
  ImageInspect,
  ImageSearchResult,
  ImageSummary,
  ProgressMessage,
} from "../wire/image.ts";
import type { NetworkCreateRequest, NetworkCreateResponse, NetworkInspect } from "../wire/network.ts";
import type { DistributionInspect, RegistryAuth, RegistryLoginResponse } from "../wire/registry.ts";
import type { EventMessage, Filters, SystemInfo, VersionInfo } from "../wire/system.ts";
import type { CheckReport } from "../wire/check.ts";
import type { DiskUsage } from "../wire/disk-usage.ts";
import type { ContainerStats } from "../wire/stats.ts";
import type { VolumeCreateRequest, VolumeInspect } from "../wire/volume.ts";

export type WaitCondition = "not-running" | "next-exit" | "removed";

export interface AttachOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Stay connected. */
  readonly stream: boolean;
  /** First write what is in the log. */
  readonly logs: boolean;
  /** As the user wrote it (`ctrl-p,ctrl-q`); undefined for the default. */
  readonly detachKeys: string | undefined;
}

/** The client's side of a hijacked stream. The engine never sees frames or sockets. */
export interface StdioSink {
  /**
   * Takes output of the container. False asks for a pause until {@link onDrain} calls. With a terminal everything is
   * `stdout`. `system` is an error of the daemon's (frame type 3).
   */
  write(stream: "stdout" | "stderr" | "system", chunk: Buffer): boolean;
  onDrain(listener: () => void): void;
  /** The connection's descriptor, once all output is the kernel's; undefined while it is not, -1 when it is closed. */
  flushedFd?(): number | undefined;
  /** Input of the client, undefined when it sends none. Ends when the client half-closes. */
  readonly input: Readable | undefined;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
}

export interface StdioSession {
  readonly tty: boolean;
  /** Connects the client. Resolves when output has ended (all of it was written) or the client detached or went away. */
  run(sink: StdioSink): Promise<void>;
}

export interface LogOptions {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly follow: boolean;
  /** Last lines only; undefined for all. */
  readonly tail: number | undefined;
  /** ns since the epoch; 0n for no bound. */
  readonly sinceNs: bigint;
  readonly untilNs: bigint;
  readonly signal: AbortSignal;
}

export interface LogEntry {
  readonly stream: "stdout" | "stderr";
  /** RFC 3339 in UTC, at most nine digits of fraction. */
  readonly time: string;
  /** With its newline, if the program wrote one. */
  readonly line: Buffer;
  /** What the log driver was asked to say about the container. */
  readonly attributes: Readonly<Record<string, string>> | undefined;
}

export interface ContainerListOptions {
  readonly all: boolean;
  /** 0 for no limit. */
  readonly limit: number;
  readonly size: boolean;
  readonly filters: Filters;
}

export interface EventOptions {
  /** ns since the epoch. */
  readonly sinceNs: bigint | undefined;
  readonly untilNs: bigint | undefined;
  readonly filters: Filters;
  readonly signal: AbortSignal;
}

export interface Engine {
  // system
  info(): Promise<SystemInfo>;
  version(): Promise<VersionInfo>;
  /** Past events from `sinceNs`, then new ones until `untilNs` or `signal`. Throws at once for a bad filter. */
  events(options: EventOptions): AsyncIterable<EventMessage>;

  // containers
  containerCreate(options: {
    name: string | undefined;
    platform: string | undefined;
    request: ContainerCreateRequest;
  }): Promise<ContainerCreateResponse>;
  /** Throws `notModified` when it runs already. */
  containerStart(nameOrId: string): Promise<void>;
  /** Seconds: undefined for the container's own, negative for ever. Throws `notModified` when it does not run. */
  containerStop(nameOrId: string, options: { signal?: string; timeoutSeconds?: number }): Promise<void>;
  containerRestart(nameOrId: string, options: { signal?: string; timeoutSeconds?: number }): Promise<void>;
  containerKill(nameOrId: string, signal: string): Promise<void>;
  containerPause(nameOrId: string): Promise<void>;
  containerUnpause(nameOrId: string): Promise<void>;
  /** Returns as soon as the wait is registered, so that headers can be sent; the answer comes with `result`. */
  containerWait(
    nameOrId: string,
    condition: WaitCondition,
    signal: AbortSignal,
  ): { readonly result: Promise<WaitResponse> };
  containerAttach(nameOrId: string, options: AttachOptions): Promise<StdioSession>;
  containerLogs(
    nameOrId: string,
    options: LogOptions,
  ): Promise<{ readonly tty: boolean; readonly entries: AsyncIterable<readonly LogEntry[]> }>;
  containerResize(nameOrId: string, height: number, width: number): Promise<void>;
  containerInspect(nameOrId: string, options: { size: boolean }): Promise<ContainerInspect>;
  containerList(options: ContainerListOptions): Promise<ContainerSummary[]>;
  containerRemove(
    nameOrId: string,
    options: { force: boolean; volumes: boolean; link: boolean },
  ): Promise<void>;
  containerRename(nameOrId: string, newName: string): Promise<void>;
  containerTop(nameOrId: string, psArguments: string): Promise<TopResponse>;
  /** What the container uses: one answer, or one a second until `signal`. Throws `notFound` at the first step. */
  containerStats(
    nameOrId: string,
    options: { stream: boolean; oneShot: boolean; signal: AbortSignal },
  ): AsyncIterable<ContainerStats>;
  /** Changes limits and restart policy; what is zero or missing stays. Returns warnings. */
  containerUpdate(nameOrId: string, change: HostConfig): Promise<string[]>;
  /** What differs from the image. */
  containerChanges(nameOrId: string): Promise<ChangeEntry[]>;
  /** Makes an image of the container; returns its id. */
  containerCommit(
    nameOrId: string,
    options: {
      repository: string | undefined;
      tag: string | undefined;
      author: string;
      comment: string;
      /** Freeze a running container meanwhile. */
      pause: boolean;
      /** Dockerfile instructions that change the configuration. */
      changes: readonly string[];
      /** Wins over the container's own configuration. */
      config: ContainerConfig | undefined;
    },
  ): Promise<string>;
  /** The file system as a tar, without mounts. The stream must be read to its end or destroyed. */
  containerExport(nameOrId: string): Promise<Readable>;
  /** What is at a path of the container; a symbolic link at its end is not followed. */
  containerStatPath(nameOrId: string, path: string): Promise<PathStat>;
  /** The tar of what is at a path. The stream must be read to its end or destroyed. */
  containerArchive(nameOrId: string, path: string): Promise<{ stat: PathStat; archive: Readable }>;
  /** Unpacks a tar, plain or compressed, in a directory of the container. */
  containerExtract(
    nameOrId: string,
    options: { path: string; source: Readable; noOverwriteDirNonDir: boolean; copyUidGid: boolean },
  ): Promise<void>;

  // exec
  execCreate(containerNameOrId: string, request: ExecCreateRequest): Promise<{ Id: string }>;
  /** Starts it. Undefined when detached. A program that cannot be started is written into the stream, as Docker does. */
  execStart(execId: string, request: ExecStartRequest): Promise<StdioSession | undefined>;
  /** Whether the exec has a terminal; throws `notFound`, so that a bad id answers before the stream is hijacked. */
  execInspect(execId: string): Promise<ExecInspect>;
  execResize(execId: string, height: number, width: number): Promise<void>;

  // images
  imageList(options: {
    all: boolean;
    filters: Filters;
    sharedSize: boolean;
    manifests?: boolean;
  }): Promise<ImageSummary[]>;
  /** Throws `notFound` for an image that is here for another platform. */
  imageCheckPlatform(nameOrId: string, platform: Platform): Promise<void>;
  imageInspect(nameOrId: string): Promise<ImageInspect>;
  imageHistory(nameOrId: string): Promise<ImageHistoryEntry[]>;
  /** A docker-archive or OCI layout, plain or compressed. Progress is yielded; errors after the first byte are thrown from the iterator. */
  imageLoad(
    archive: Readable,
    options: { quiet: boolean; platform?: Platform; signal: AbortSignal },
  ): AsyncIterable<ProgressMessage>;
  imageSave(namesOrIds: readonly string[]): Promise<Readable>;
  /** A root file system tar as a new image. */
  imageImport(options: {
    /** The archive, or where on the web it is. */
    source: Readable | string;
    signal: AbortSignal;
    repository: string | undefined;
    tag: string | undefined;
    message: string | undefined;
    changes: readonly string[];
    platform: string | undefined;
  }): AsyncIterable<ProgressMessage>;
  imageTag(nameOrId: string, repository: string, tag: string): Promise<void>;
  imageRemove(nameOrId: string, options: { force: boolean; noPrune: boolean }): Promise<ImageDeleteEntry[]>;
  /** The built-in image is made on the spot; anything else comes from its registry. No tag is every tag. */
  imagePull(options: {
    image: string;
    tag: string | undefined;
    platform: string | undefined;
    credentials?: RegistryAuth;
    signal: AbortSignal;
  }): AsyncIterable<ProgressMessage>;
  /** To the registry that the name says. No tag is every tag. */
  imagePush(options: {
    image: string;
    tag: string | undefined;
    credentials: RegistryAuth;
    signal: AbortSignal;
  }): AsyncIterable<ProgressMessage>;

  // registries
  /** Images of Docker Hub, or of the registry that the term begins with. */
  imageSearch(options: {
    term: string;
    limit: number | undefined;
    filters: Filters;
    credentials: RegistryAuth;
    signal: AbortSignal;
  }): Promise<ImageSearchResult[]>;
  /** Shows credentials to a registry. Throws `unauthenticated` when it refuses them. */
  registryLogin(credentials: RegistryAuth, signal: AbortSignal): Promise<RegistryLoginResponse>;
  /** What a registry has under a name. */
  distributionInspect(options: {
    name: string;
    credentials: RegistryAuth;
    signal: AbortSignal;
  }): Promise<DistributionInspect>;

  // networks and volumes
  networkList(filters: Filters): Promise<NetworkInspect[]>;
  networkInspect(nameOrId: string): Promise<NetworkInspect>;
  /** What `host-gateway` stands for; none without a default bridge. */
  hostGateways(): readonly string[];
  networkCreate(request: NetworkCreateRequest): Promise<NetworkCreateResponse>;
  /** Throws `permissionDenied` for one in use, or a predefined one. */
  networkRemove(nameOrId: string): Promise<void>;
  /** At once when the container runs, else with its next start. */
  networkConnect(
    nameOrId: string,
    request: { readonly container: string; readonly settings: EndpointSettings },
  ): Promise<void>;
  networkDisconnect(
    nameOrId: string,
    request: { readonly container: string; readonly force: boolean },
  ): Promise<void>;
  volumeList(filters: Filters): Promise<{ volumes: VolumeInspect[]; warnings: string[] }>;
  volumeInspect(name: string): Promise<VolumeInspect>;
  /** Makes a volume, or returns the one of that name. */
  volumeCreate(request: VolumeCreateRequest): Promise<VolumeInspect>;
  /** Throws `conflict` when a container has it. */
  volumeRemove(name: string, options: { force: boolean }): Promise<void>;

  /** Compares the records with disk and kernel, and puts right what can be (`engine/check/`). */
  check(options: {
    readonly verify: boolean;
    readonly repair: boolean;
    readonly signal: AbortSignal;
  }): Promise<CheckReport>;

  /** What takes room; of all kinds when `types` is empty. */
  diskUsage(types: readonly string[]): Promise<DiskUsage>;

  // what nobody uses
  containerPrune(filters: Filters): Promise<{ removed: string[]; reclaimedBytes: number }>;
  imagePrune(filters: Filters): Promise<{ removed: ImageDeleteEntry[]; reclaimedBytes: number }>;
  volumePrune(filters: Filters): Promise<{ removed: string[]; reclaimedBytes: number }>;
  networkPrune(filters: Filters): Promise<{ removed: string[] }>;
}
