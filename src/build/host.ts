import type { ContainerDefaults } from "../container/defaults.ts";
import type { Database } from "../base/database.ts";
import type { Background } from "../base/background.ts";
import type { Runtimes } from "../container/runtime.ts";
import type { ContentStore } from "../content/content.ts";
import type { ImageRecord, ImageStore } from "../image/image.ts";
import type { StoredImage } from "../image/register.ts";
import type { NetworkManager } from "../network/network.ts";
import type { RegistryClient } from "../registry/client.ts";
import type { RegistryCredentials } from "../registry/registry.ts";
import type { Snapshotter } from "../snapshot/snapshot.ts";
import type { BuilderSettings } from "./gc-policy.ts";
import type { HostConfig } from "../wire/container.ts";
import type { ProgressMessage } from "../wire/image.ts";

/** A hold on blobs and layers; what of it nobody refers to at its end is removed. */
export type BuildLease = Disposable & { add(key: string): void };

/** What the builder works with; the composition root gives it. */
export interface BuildHost {
  readonly config: {
    readonly dataRoot: string;
    /** On a tmpfs: bundles of steps that run. */
    readonly execRoot: string;
    readonly cgroupParent: string;
    /** Where specifications of devices are (CDI). */
    readonly cdiDirectories: readonly string[];
    /** What the daemon says for containers that do not say it themselves. */
    readonly containerDefaults?: ContainerDefaults;
    readonly dns: readonly string[];
    readonly dnsOptions: readonly string[];
    readonly dnsSearch: readonly string[];
    /** What `host-gateway` stands for; empty for the network's gateway. */
    readonly hostGatewayIps?: readonly string[];
    /** The key `builder` of daemon.json. */
    readonly builder?: BuilderSettings;
  };
  readonly database: Database;
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
  readonly images: ImageStore;
  readonly network: NetworkManager;
  readonly background: Background;
  runtimes(): Runtimes;
  /** A container's settings with what is the default for all containers. */
  hostConfig(request: HostConfig): HostConfig;
  lease(): BuildLease;
  /** Removes those of the blobs and layers that nothing refers to. */
  collect(candidates: ReadonlySet<string>): void;
  /** Registries, for what is no image of the store: indexes and cache. */
  readonly registry: RegistryClient;
  /** Brings an image in by its name. */
  pull(options: {
    readonly image: string;
    readonly tag: string | undefined;
    readonly platform: string | undefined;
    readonly credentials?: RegistryCredentials;
    readonly signal: AbortSignal;
    /** An image that has no index is taken whatever platform it is for. */
    readonly isBase?: boolean;
    /** Told the id of each image that was brought in. */
    readonly onImage?: (id: string) => void;
  }): AsyncIterable<ProgressMessage>;
  push(options: {
    readonly image: string;
    readonly tag: string | undefined;
    readonly credentials: RegistryCredentials;
    readonly signal: AbortSignal;
  }): AsyncIterable<ProgressMessage>;
  /** Unpacks what is not unpacked yet, and puts the image on record. */
  register(image: StoredImage, lease: Pick<BuildLease, "add">): Promise<ImageRecord>;
  emit(type: string, action: string, id: string, attributes: Readonly<Record<string, string>>): void;
}
