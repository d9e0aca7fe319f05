/** Body of `POST /volumes/create`. */
export interface VolumeCreateRequest {
  Name?: string;
  Driver?: string;
  DriverOpts?: Record<string, string> | null;
  Labels?: Record<string, string> | null;
  /** Asks for a volume of a swarm's. */
  ClusterVolumeSpec?: Readonly<Record<string, unknown>> | null;
}

/** Definition `Volume`. */
export interface VolumeInspect {
  Name: string;
  Driver: string;
  Mountpoint: string;
  CreatedAt: string;
  Labels: Record<string, string> | null;
  Scope: "local" | "global";
  Options: Record<string, string> | null;
  /** What a plugin says of it, in words of its own. */
  Status?: Readonly<Record<string, unknown>>;
}
