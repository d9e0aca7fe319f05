import { buildApi, type BuildApi } from "./build.ts";
import { containerFileApi, type ContainerFileApi } from "./container-files.ts";
import { containerResourceApi, type ContainerResourceApi } from "./container-resources.ts";
import { containerApi, type ContainerApi } from "./containers.ts";
import type { ConnectionError } from "./errors.ts";
import { execApi, type ExecApi } from "./exec.ts";
import type { ClientTls } from "./dial.ts";
import { parseHost } from "./host.ts";
import { imageApi, type ImageApi } from "./images.ts";
import { pruneApi, type PruneApi } from "./prune.ts";
import {
  networkApi,
  systemApi,
  volumeApi,
  type NetworkApi,
  type SystemApi,
  type VolumeApi,
} from "./system.ts";
import { Transport } from "./transport.ts";

/**
 * A client of one daemon, gantry's or any other that speaks the Docker Engine API.
 *
 * Calls throw `ClientError` when the daemon says no (its HTTP status and its sentence), and `ConnectionError` when there
 * is no daemon. Streams are async iterables; leaving their loop closes them.
 */
export interface Client
  extends
    SystemApi,
    ContainerApi,
    ContainerFileApi,
    ContainerResourceApi,
    ExecApi,
    ImageApi,
    BuildApi,
    NetworkApi,
    VolumeApi,
    PruneApi,
    Disposable {
  /** The daemon's address as it was given, in full (`unix:///run/gantry/gantry.sock`). */
  readonly host: string;
  /** The version of the API that is spoken, negotiated at the first call. */
  apiVersion(): Promise<string>;
  /** For routes that have no method here: path without version, such as `/swarm`. */
  readonly transport: Transport;
  /** Closes what is open. Calls under way end with their answers. */
  close(): void;
}

export interface ConnectOptions {
  /** Pins the version of the API (`DOCKER_API_VERSION`) instead of negotiating it. */
  readonly apiVersion?: string | undefined;
  /** Encrypts TCP connections; means nothing elsewhere. */
  readonly tls?: ClientTls | undefined;
  readonly userAgent?: string;
  /** Called when the first connection fails: may start a daemon. True has the connection tried once more. */
  readonly onUnreachable?: (error: ConnectionError) => Promise<boolean>;
}

/**
 * A client of the daemon at `host`: `unix:///path`, `/path`, `tcp://host:port`, `ssh://user@host`.
 *
 * Nothing is sent before the first call. Throws `Error` when `host` cannot be read.
 */
export function connect(host: string, options: ConnectOptions = {}): Client {
  const transport = new Transport(parseHost(host, options.tls !== undefined), {
    tls: options.tls,
    apiVersion: options.apiVersion,
    userAgent: options.userAgent ?? "gantry-client",
    onUnreachable: options.onUnreachable,
  });
  return {
    host: transport.host.url,
    transport,
    apiVersion: () => transport.apiVersion(),
    close: () => transport.close(),
    [Symbol.dispose]: () => transport.close(),
    ...systemApi(transport),
    ...containerApi(transport),
    ...containerFileApi(transport),
    ...containerResourceApi(transport),
    ...execApi(transport),
    ...imageApi(transport),
    ...buildApi(transport),
    ...networkApi(transport),
    ...volumeApi(transport),
    ...pruneApi(transport),
  };
}
