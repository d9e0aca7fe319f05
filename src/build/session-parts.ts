/** What the parts of a build work with, and what a stage has come to. */
import type { KeyedLock } from "../base/keyed-lock.ts";
import type { Platform } from "../oci/image-spec.ts";
import type { GraphNode } from "./build-graph.ts";
import type { BaseImages } from "./base-images.ts";
import type { BuildRequest } from "./build.ts";
import type { CacheRecord, CacheStore } from "./cache-store.ts";
import type { ContextStore } from "./contexts.ts";
import type { Dockerfile, Stage } from "./dockerfile/ast.ts";
import type { StageScope } from "./dockerfile/scope.ts";
import type { FileTree } from "./files/file-tree.ts";
import type { PatternRules } from "./files/patterns.ts";
import type { BuildHost, BuildLease } from "./host.ts";
import type { ConfigDraft } from "./image-config.ts";
import type { Layers } from "./layers.ts";
import type { BuildPlan } from "./plan.ts";
import type { Progress } from "./progress.ts";
import type { FetchedSources } from "./provenance.ts";
import type { StepSlots } from "./slots.ts";
import type { StepImage } from "./step-images.ts";

export interface StageState extends ConfigDraft {
  readonly stage: Stage;
  layers: Layers;
  scope: StageScope;
  /** What it was made by, for provenance; undefined for nothing yet. */
  node: GraphNode | undefined;
  readonly platform: Platform;
  /** What the image of it says that it is for: the platform that was asked for, or without one that of its base. */
  readonly imagePlatform: Platform;
  /** What the image of its FROM says that it is for; undefined for none, and for one that does not say. */
  readonly basePlatform: Platform | undefined;
  /** The image of its FROM, or of the stage that it is made from. */
  readonly baseId: string | undefined;
  /** What its steps came to, when the build keeps them. */
  steps: readonly StepImage[];
}

/** What all builds and all platforms of one build share. */
export interface SessionParts {
  readonly host: BuildHost;
  readonly cache: CacheStore;
  readonly contexts: ContextStore;
  readonly stepLocks: KeyedLock;
  readonly cacheLocks: KeyedLock;
  readonly slots: StepSlots;
  readonly request: BuildRequest;
  readonly dockerfile: Dockerfile;
  readonly plan: BuildPlan;
  readonly meta: ReadonlyMap<string, string>;
  readonly progress: Progress;
  readonly lease: BuildLease;
  readonly images: BaseImages;
  /** The rules of the context's .dockerignore. */
  readonly ignore: PatternRules;
  readonly platform: Platform;
  readonly isMultiPlatform: boolean;
  /** SOURCE_DATE_EPOCH in ns. */
  readonly epochNs: bigint | undefined;
  /** Aborted at the first failure, with it as the reason. */
  readonly signal: AbortSignal;
  abort(reason: Error): void;
  /** Records that the build made or used. */
  readonly usedRecords: Set<string>;
  /** Finds a record in what was imported with `--cache-from`. */
  importedRecord(key: string): Promise<CacheRecord | undefined>;
  readonly undo: AsyncDisposableStack;
  /** Files and repositories that the build has fetched, for provenance. */
  readonly fetched: FetchedSources;
  readonly startedAt: string;
  /** The target's stage for a platform, once all are built. */
  stateOf(platform: Platform): StageState;
  /** The main context, opened once for all platforms. */
  mainContext(): Promise<FileTree>;
}
