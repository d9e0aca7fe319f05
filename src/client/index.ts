/**
 * The public client of the Docker Engine API.
 *
 * ```ts
 * using client = connect("unix:///run/gantry/gantry.sock");
 * const { Id } = await client.containerCreate({ Image: "gantry/busybox", Cmd: ["echo", "hello"] });
 * const stdio = await client.containerAttach(Id, { stdout: true, stderr: true, tty: false });
 * await client.containerStart(Id);
 * for await (const { stream, data } of stdio.output()) (stream === "stderr" ? process.stderr : process.stdout).write(data);
 * ```
 */
export { connect, type Client, type ConnectOptions } from "./client.ts";
export type {
  AttachQuery,
  ContainerApi,
  ContainerListQuery,
  LogsQuery,
  PendingWait,
  StopQuery,
  WaitCondition,
} from "./containers.ts";
export { ClientError, ConnectionError, isNotFound } from "./errors.ts";
export type { ExecApi } from "./exec.ts";
export { FrameError, type OutputChunk, type OutputStream } from "./frames.ts";
export type { ImageApi, ImageListQuery, ImportQuery, PullQuery } from "./images.ts";
export type { CallOptions, FilterValues } from "./options.ts";
export type { OutputReader, StdioStream } from "./streams.ts";
export type { EventsQuery, NetworkApi, SystemApi, VolumeApi } from "./system.ts";
export { compareVersions, newestApiVersion, type PingResult, type RequestOptions } from "./transport.ts";
