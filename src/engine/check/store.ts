/** What a check looks at: the records, and where on this machine the rest should be. */
import type { Database } from "../../base/database.ts";
import type { ContainerRecord, ContainerStore } from "../../container/container.ts";
import type { ImageRecord, ImageStore } from "../../image/image.ts";
import type { NetworkRecords } from "../../network/records.ts";
import type { VolumeInspect } from "../../wire/volume.ts";

/** What a running daemon knows beside its records. */
export interface LiveState {
  /** Some operation holds this blob or layer though no image has it yet. */
  isHeld(key: string): boolean;
  /** The namespace file or device is kept ready for a container to come. */
  isReady(name: string): boolean;
  /** A container of that id is being started, removed or cleaned up. */
  isBusy(containerId: string): boolean;
}

export interface CheckedStore {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly cgroupParent: string;
  /** Name of the default bridge; `none` without. */
  readonly bridge: string;
  readonly database: Database;
  readonly images: Pick<ImageStore, "list" | "lost">;
  readonly containers: Pick<ContainerStore, "list" | "byId" | "unrecorded">;
  readonly networks: NetworkRecords;
  volumes(): readonly VolumeInspect[];
  /** Blobs and layers that the build cache needs, or images whose records are lost. */
  pins(): Iterable<string>;
  /** Undefined while no daemon runs. */
  readonly live: LiveState | undefined;
}

/** A fault as it is found; what is done about it is in `repair.ts`. */
export interface Found {
  readonly kind: FaultKind;
  readonly object: string;
  readonly message: string;
  readonly remedy?: string;
  /** False where only this one cannot be put right, though others of its kind can. */
  readonly isRepairable?: boolean;
}

interface KindRule {
  readonly severity: "damage" | "leftover";
  readonly isRepairable: boolean;
}

const damage = (isRepairable: boolean): KindRule => ({ severity: "damage", isRepairable });
const leftover: KindRule = { severity: "leftover", isRepairable: true };

/** Every kind of fault. */
export const faultKinds = {
  "database-damaged": damage(false),
  "blob-damaged": damage(true),
  "blob-missing": damage(false),
  "blob-orphan": leftover,
  "image-unrecorded": damage(true),
  "blob-misnamed": leftover,
  "ingest-leftover": leftover,
  "layer-damaged": damage(true),
  "layer-missing": damage(true),
  "layer-unreadable": leftover,
  "layer-orphan": leftover,
  "layer-link-missing": damage(true),
  "layer-link-orphan": leftover,
  "snapshot-orphan": leftover,
  "container-layer-missing": damage(false),
  "container-directory-missing": damage(true),
  "container-directory-orphan": leftover,
  "container-unrecorded": damage(true),
  "container-ended": damage(false),
  "task-leftover": leftover,
  "mount-leftover": leftover,
  "cgroup-leftover": leftover,
  "volume-missing": damage(true),
  "volume-unrecorded": damage(true),
  "volume-leftover": leftover,
  "network-incomplete": leftover,
  "sandbox-orphan": leftover,
  "sandbox-missing": damage(false),
  "address-outside": damage(false),
  "device-missing": damage(false),
  "namespace-orphan": leftover,
  "device-orphan": leftover,
  "port-unheld": damage(false),
  "port-rule-missing": damage(true),
  "port-rule-orphan": leftover,
} satisfies Record<string, KindRule>;
export type FaultKind = keyof typeof faultKinds;

/** How people know an image. */
export const imageName = ({ id, repoTags }: ImageRecord): string =>
  repoTags[0] ?? id.replace("sha256:", "").slice(0, 12);

export const isRunning = (container: ContainerRecord | undefined): boolean =>
  container !== undefined && ["running", "paused"].includes(container.state.status);
