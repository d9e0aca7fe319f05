/** What the use cases work with: the drivers that the composition root picked, and what is known only while it runs. */
import { Background } from "../base/background.ts";
import { Leftovers } from "../base/leftovers.ts";
import type { Database } from "../base/database.ts";
import { KeyedLock } from "../base/keyed-lock.ts";
import type { ContainerRecord, ContainerStore } from "../container/container.ts";
import type { Labelling } from "../container/labelling.ts";
import type { ContainerLogs } from "../container/logging/container-logs.ts";
import type { Monitor, RuntimeBinary } from "../container/monitor.ts";
import type { Runtimes } from "../container/runtime.ts";
import type { ContentStore } from "../content/content.ts";
import type { ImageStore } from "../image/image.ts";
import type { CgroupLayout } from "../linux/cgroup.ts";
import type { NetworkManager } from "../network/network.ts";
import type { Snapshotter } from "../snapshot/snapshot.ts";
import type { VolumeStore } from "../volume/volume.ts";
import type { EngineConfig } from "./config.ts";
import type { EventBus } from "./event-bus.ts";
import { ExecRegistry } from "./exec-registry.ts";
import type { ImageDeps } from "./image-deps.ts";
import type { ImageWork } from "./image-use-cases.ts";
import { LiveContainers } from "./live.ts";

export interface EngineParts {
  readonly config: EngineConfig;
  readonly database: Database;
  readonly containers: ContainerStore;
  readonly images: ImageStore;
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
  readonly volumes: VolumeStore;
  readonly network: NetworkManager;
  readonly monitor: Monitor;
  readonly logs: ContainerLogs;
  readonly runtimes: Runtimes;
  readonly events: EventBus;
  readonly cgroups: CgroupLayout;
  /** SELinux; undefined where the daemon or the kernel has none. */
  readonly labelling?: Labelling | undefined;
  /** Blobs and layers of the build cache: they are kept though no image has them. */
  buildPins?(): Iterable<string>;
  /** As in {@link ImageDeps}. */
  readonly builtIndex?: ImageDeps["builtIndex"];
}

export interface EngineContext extends EngineParts {
  /** Replaced when the configuration is read again. */
  runtimes: Runtimes;
  /** One lock a container: create, start, exit, stop and remove of the same container never overlap. */
  readonly locks: KeyedLock;
  readonly live: LiveContainers;
  readonly execs: ExecRegistry;
  /** Set by `createEngine`, for the builder. */
  imageWork?: ImageWork;
  /** Clean-up that goes on after the answer. */
  readonly background: Background;
  /** Clean-up that failed and is tried again. */
  readonly leftovers: Leftovers;
}

export function createContext(parts: EngineParts): EngineContext {
  return {
    ...parts,
    locks: new KeyedLock(),
    live: new LiveContainers(),
    execs: new ExecRegistry(),
    background: new Background(),
    leftovers: new Leftovers(),
  };
}

/** The runtime that looks after a container's task; it may be configured no more. Throws like {@link Runtimes.get}. */
export function taskRuntime(context: EngineContext, container: ContainerRecord): RuntimeBinary {
  return context.monitor.recordedRuntime(container.id) ?? context.runtimes.get(container.runtime);
}

/** Emits a container event with the attributes that Docker gives them all: labels, image, name. */
export function emitContainer(
  context: EngineContext,
  container: ContainerRecord,
  action: string,
  more: Readonly<Record<string, string>> = {},
): void {
  context.events.emit("container", action, container.id, {
    ...container.config.Labels,
    image: container.image,
    name: container.name,
    ...more,
  });
}
