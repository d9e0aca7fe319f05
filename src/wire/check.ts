/** What `gantry system check` says. A route of gantry's own: `GET` and `POST /gantry/check`. */

/** What became of a fault: it stays, or was put right. */
export type FaultState = "found" | "repaired" | "not repaired";

export interface Fault {
  /** What is wrong, for programs: `blob-damaged`. */
  readonly Kind: string;
  /** What it is wrong with: a digest, an id, a name, a path. */
  readonly Object: string;
  /** A sentence for people. */
  readonly Message: string;
  /** `damage`: something that is on record is not as it should be. `leftover`: something that no record knows. */
  readonly Severity: "damage" | "leftover";
  readonly State: FaultState;
  /** `--repair` can do something about it. */
  readonly Repairable: boolean;
  /** What a person can do about it, where `--repair` cannot. */
  readonly Remedy?: string;
  /** Why the repair failed. */
  readonly Failure?: string;
}

/** How much was looked at. */
export interface CheckCounts {
  readonly Blobs: number;
  /** Bytes whose digests were verified. */
  readonly BlobBytes: number;
  readonly Layers: number;
  readonly Images: number;
  readonly Containers: number;
  readonly Volumes: number;
  readonly Networks: number;
}

export interface CheckReport {
  readonly DataRoot: string;
  readonly ExecRoot: string;
  /** Contents were read, not only names and sizes. */
  readonly Verified: boolean;
  readonly Checked: CheckCounts;
  readonly Faults: readonly Fault[];
}
