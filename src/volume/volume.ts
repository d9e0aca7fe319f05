/** Volumes: named directories that outlive containers. */
import type { VolumeInspect } from "../wire/volume.ts";

export interface VolumeStore {
  list(): VolumeInspect[];
  /** Throws `notFound` (`get X: no such volume`). */
  inspect(name: string): VolumeInspect;
  /**
   * Makes a volume, or returns the one of that name. An empty name makes an anonymous one (64 hex digits, label
   * `com.docker.volume.anonymous`). Throws `invalidArgument` for a bad name, `notImplemented` for another driver than `local`.
   */
  create(request: {
    name?: string;
    driver?: string;
    driverOptions?: Record<string, string>;
    labels?: Record<string, string>;
  }): VolumeInspect;
  /** True when it was made without a name. */
  isAnonymous(name: string): boolean;
  /**
   * Fills an empty volume with what the image has at the mount point, with ownership and modes (Docker's copy-up).
   * `imageDirectory` is a path on the host that was already resolved inside the container's root.
   */
  copyUp(name: string, imageDirectory: string): void;
  /** Removes volume and data. The caller knows that nobody uses it. */
  remove(name: string): void;
}
