/** Answer of `GET /version`. */
export interface VersionInfo {
  Platform: { Name: string };
  Components: { Name: string; Version: string; Details?: Record<string, string> }[];
  Version: string;
  ApiVersion: string;
  MinAPIVersion: string;
  GitCommit: string;
  GoVersion: string;
  Os: string;
  Arch: string;
  KernelVersion: string;
  Experimental?: boolean;
  BuildTime?: string;
}

/** Answer of `GET /info`: definition `SystemInfo`. Fields of features that gantry has not are written empty, as Docker does. */
export type SystemInfo = Record<string, unknown>;

/** One object of `GET /events`. */
export interface EventMessage {
  Type: string;
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
  scope: "local" | "swarm";
  /** Unix seconds. */
  time: number;
  timeNano: number;
}

/** Parsed `filters` parameter: key -> values. */
export type Filters = ReadonlyMap<string, readonly string[]>;
