/**
 * The container's record: what is stored about it, and the pure rules of its life. A *task* is its running instance, at
 * most one at a time, under a monitor (conmon) that outlives the daemon.
 */
import { zeroTime } from "../base/time.ts";
import type { HealthState } from "./health.ts";
import type {
  ContainerConfig,
  ContainerStatus,
  EndpointSettings,
  HostConfig,
  MountPoint,
} from "../wire/container.ts";

export interface ContainerState {
  readonly status: ContainerStatus;
  /** Pid of the container's first process on the host; 0 when it does not run. */
  readonly pid: number;
  readonly monitorPid: number;
  readonly exitCode: number;
  readonly error: string;
  readonly oomKilled: boolean;
  /** RFC 3339, or the zero time. */
  readonly startedAt: string;
  readonly finishedAt: string;
  /** The user stopped it: restart policies let it be. */
  readonly stoppedByUser: boolean;
  /** Undefined without a health check. */
  readonly health?: HealthState;
}

/** Of a container that was made and never started. */
export const newContainerState: ContainerState = {
  status: "created",
  pid: 0,
  monitorPid: 0,
  exitCode: 0,
  error: "",
  oomKilled: false,
  startedAt: zeroTime,
  finishedAt: zeroTime,
  stoppedByUser: false,
};

/** A link to another container on the default bridge. */
export interface ContainerLink {
  readonly containerId: string;
  readonly alias: string;
}

export interface ContainerRecord {
  readonly id: string;
  /** Without the leading slash. */
  readonly name: string;
  readonly createdAt: string;
  /** Image id, and the reference as the user gave it. */
  readonly imageId: string;
  readonly image: string;
  /** Program and arguments after the merge of entrypoint and cmd. */
  readonly path: string;
  readonly args: readonly string[];
  /** Merged with the image's. */
  readonly config: ContainerConfig;
  /** With Docker's defaults filled in. */
  readonly hostConfig: HostConfig;
  /** What was asked for, by network name. */
  readonly endpoints: Readonly<Record<string, EndpointSettings>>;
  readonly mounts: readonly MountPoint[];
  readonly links?: readonly ContainerLink[];
  /** The variables of its links when it was last started. */
  readonly linkEnv?: readonly string[];
  /** SELinux labels; missing where there are none. */
  readonly processLabel?: string;
  readonly mountLabel?: string;
  readonly runtime: string;
  readonly snapshotDriver: string;
  readonly logPath: string;
  readonly restartCount: number;
  readonly state: ContainerState;
}

export interface ContainerStore {
  list(): ContainerRecord[];
  /** By full id, name (with or without slash) or unique id prefix. Throws `notFound` (`No such container: X`), `invalidArgument` when ambiguous. */
  resolve(nameOrId: string): ContainerRecord;
  byId(id: string): ContainerRecord | undefined;
  byName(name: string): ContainerRecord | undefined;
  /** Throws `conflict` with Docker's words when a container has that name. */
  requireFreeName(name: string): void;
  /** Throws like {@link requireFreeName}. */
  insert(record: ContainerRecord): void;
  update(id: string, change: Partial<Omit<ContainerRecord, "id">>): ContainerRecord;
  /**
   * Notes what has become of a container. That is so whether or not it can be stored: when it can't (a full disk), it
   * is logged, holds for this daemon's life, and is stored as soon as that can be done.
   */
  updateState(id: string, change: Partial<ContainerState>): ContainerRecord;
  remove(id: string): void;
  /**
   * Puts containers on record again whose records were lost, by the copies beside their files, and returns them. One whose
   * name is taken has a part of its id added to it. What each is said to be doing is what was last known.
   */
  restoreLost(): ContainerRecord[];
  /** Writes the copies that are missing or say something else than the records. */
  refreshCopies(): void;
  /**
   * For the id of a container that has no record, and files that say that it had one: its name, which is undefined when
   * the copy of its record cannot be read. Undefined for others.
   */
  unrecorded(id: string): { readonly name: string | undefined } | undefined;
  /** Stores what could not be stored before, if that can be done now; before the database is closed. */
  close(): void;
}
