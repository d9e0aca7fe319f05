/** What keeps the files of volumes: directories of this machine, or a plugin's service. */
import type { VolumeInspect } from "../wire/volume.ts";

/** What a driver knows about one of its volumes. */
export interface DriverVolume {
  readonly name: string;
  /** Where its files are; empty while it is not mounted. */
  readonly mountpoint: string;
  /** RFC 3339; empty when the driver does not say. */
  readonly createdAt: string;
  readonly status: Readonly<Record<string, unknown>> | undefined;
}

export interface VolumeDriver {
  readonly name: string;
  /** `global`: the same volumes are seen by several machines. */
  scope(): Promise<"local" | "global">;
  /** Throws `invalidArgument` for a name or options that it does not take. */
  create(name: string, options: Readonly<Record<string, string>>): Promise<void>;
  /** Undefined when it has no such volume. */
  get(name: string): Promise<DriverVolume | undefined>;
  list(): Promise<DriverVolume[]>;
  remove(volume: VolumeInspect): Promise<void>;
  /** Makes its files reachable and returns where; once for each user. */
  mount(volume: VolumeInspect, user: string): Promise<string>;
  /** `isLast`: nobody else has it mounted. */
  unmount(volume: VolumeInspect, user: string, isLast: boolean): Promise<void>;
}
