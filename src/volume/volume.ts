/** Volumes: named stores of files that outlive containers, each kept by a driver. */
import type { VolumeInspect } from "../wire/volume.ts";

export interface VolumeCreate {
  /** None or an empty one makes an anonymous volume: 64 hex digits, label `com.docker.volume.anonymous`. */
  readonly name?: string;
  /** What an anonymous one is to be called: 64 hex digits. */
  readonly anonymousName?: string;
  /** None takes the volume of that name whatever its driver is, else the local driver. */
  readonly driver?: string;
  readonly driverOptions?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface VolumeListing {
  readonly volumes: VolumeInspect[];
  /** One sentence for each driver that did not answer; its volumes are listed as they were recorded. */
  readonly warnings: string[];
}

/**
 * All volumes of all drivers. A volume is in use between {@link mount} and {@link unmount}, under the name of its user
 * (a container's id). Calls for one volume run one after the other.
 */
export interface VolumeStore {
  /** The volumes on record, without asking their drivers. */
  records(): readonly VolumeInspect[];
  /** All volumes, those too that a driver has and that were not made here. */
  list(): Promise<VolumeListing>;
  /** Throws `notFound` (`get X: no such volume`). */
  inspect(name: string): Promise<VolumeInspect>;
  /**
   * Makes a volume, or returns the one of that name. Throws `invalidArgument` for a bad name or option, `conflict` when
   * another driver has it, `notFound` for a driver that is not there.
   */
  create(request: VolumeCreate): Promise<{ readonly volume: VolumeInspect; readonly isNew: boolean }>;
  /** True when it was made without a name. */
  isAnonymous(name: string): boolean;
  /** Makes the files of a volume reachable for `user` and returns where they are. Once more for the same user: no change. */
  mount(name: string, user: string): Promise<string>;
  /** `user` needs it no more; after the last one it is unmounted. No error when `user` had not mounted it. */
  unmount(name: string, user: string): Promise<void>;
  /**
   * To be asked before the daemon itself uses files of a volume that is mounted: its server may be away. Throws `unavailable`
   * when it does not answer.
   */
  requireAnswer(name: string): Promise<void>;
  /** Takes note that `user` has had it mounted since before this process started. */
  adopt(name: string, user: string): void;
  /** After all users were adopted: unmounts what a crash left mounted without one. */
  unmountUnused(): Promise<void>;
  /**
   * Fills the volume that is mounted at `path` with what the image has at the mount point when it is empty, with
   * ownership and modes (Docker's copy-up). `imageDirectory` is a path on the host that was already resolved inside the
   * container's root.
   */
  copyUp(path: string, imageDirectory: string): void;
  /**
   * Removes volume and data. The caller knows that no container has it. Throws `notFound`, and `conflict` when it stays
   * mounted. `force` forgets one whose driver is away or does not know it, and one that it refuses to remove, which is thrown.
   */
  remove(name: string, options?: { readonly force?: boolean }): Promise<void>;
}
