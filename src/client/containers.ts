import type {
  ContainerCreateRequest,
  ContainerCreateResponse,
  ContainerInspect,
  ContainerSummary,
  TopResponse,
  WaitResponse,
} from "../wire/container.ts";
import { outputReader, stdioStream, type OutputReader, type StdioStream } from "./streams.ts";
import { containerPart, type Transport } from "./transport.ts";
import { filtersParameter, type CallOptions, type FilterValues } from "./options.ts";
import { readText } from "./read-text.ts";

export type WaitCondition = "not-running" | "next-exit" | "removed";

export interface ContainerListQuery extends CallOptions {
  /** Also those that do not run. */
  readonly all?: boolean;
  readonly limit?: number;
  /** Count the sizes of the file systems, which takes time. */
  readonly size?: boolean;
  readonly filters?: FilterValues;
}

export interface AttachQuery extends CallOptions {
  readonly stdin?: boolean;
  readonly stdout?: boolean;
  readonly stderr?: boolean;
  /** First what is in the log. */
  readonly logs?: boolean;
  /** Keys that detach, such as `ctrl-p,ctrl-q`. */
  readonly detachKeys?: string;
  /** Whether the container has a terminal. Without it the answer's content type decides. */
  readonly tty?: boolean;
}

export interface LogsQuery extends CallOptions {
  readonly stdout?: boolean;
  readonly stderr?: boolean;
  readonly follow?: boolean;
  /** Number of lines from the end, or `all`. */
  readonly tail?: string;
  /** Unix seconds with fractions, as the API takes them. */
  readonly since?: string;
  readonly until?: string;
  readonly timestamps?: boolean;
  readonly details?: boolean;
  /** As in {@link AttachQuery}. */
  readonly tty?: boolean;
}

export interface StopQuery extends CallOptions {
  /** Name of the signal that asks the program to stop. */
  readonly stopSignal?: string;
  /** Seconds until SIGKILL; negative waits for ever. */
  readonly timeoutSeconds?: number;
}

/** A wait that the daemon has taken note of. */
export interface PendingWait {
  /** Resolves with the exit code when the condition is met. */
  readonly result: Promise<WaitResponse>;
  /** Gives up. */
  close(): void;
}

/** What can be asked about containers. A name, an id or a unique start of an id names a container. */
export interface ContainerApi {
  /** `POST /containers/create`. 404 when the image is not there, 409 when the name is taken. */
  containerCreate(
    request: ContainerCreateRequest,
    options?: CallOptions & { name?: string; platform?: string },
  ): Promise<ContainerCreateResponse>;
  /** `GET /containers/json`. */
  containerList(query?: ContainerListQuery): Promise<ContainerSummary[]>;
  /** `GET /containers/{id}/json`; `newestVersion` of the API where a later one leaves out what is asked for. */
  containerInspect(
    name: string,
    query?: CallOptions & { size?: boolean; newestVersion?: string },
  ): Promise<ContainerInspect>;
  /** `POST /containers/{id}/start`. False when it was running already. */
  containerStart(name: string, options?: CallOptions & { detachKeys?: string }): Promise<boolean>;
  /** `POST /containers/{id}/stop`. False when it was not running. */
  containerStop(name: string, query?: StopQuery): Promise<boolean>;
  /** `POST /containers/{id}/restart`. */
  containerRestart(name: string, query?: StopQuery): Promise<void>;
  /** `POST /containers/{id}/kill`; `killSignal` is a name or a number, SIGKILL when undefined. */
  containerKill(name: string, killSignal?: string, options?: CallOptions): Promise<void>;
  /** `POST /containers/{id}/pause`. */
  containerPause(name: string, options?: CallOptions): Promise<void>;
  /** `POST /containers/{id}/unpause`. */
  containerUnpause(name: string, options?: CallOptions): Promise<void>;
  /** `POST /containers/{id}/wait`. Resolves once the daemon has taken note, so that a start may follow. */
  containerWait(name: string, condition?: WaitCondition, options?: CallOptions): Promise<PendingWait>;
  /** `POST /containers/{id}/attach` over a hijacked connection. */
  containerAttach(name: string, query?: AttachQuery): Promise<StdioStream>;
  /** `GET /containers/{id}/logs`. */
  containerLogs(name: string, query?: LogsQuery): Promise<OutputReader>;
  /** `POST /containers/{id}/resize`: rows and columns of its terminal. */
  containerResize(name: string, height: number, width: number): Promise<void>;
  /** `DELETE /containers/{id}`. */
  containerRemove(
    name: string,
    query?: CallOptions & { force?: boolean; volumes?: boolean; link?: boolean },
  ): Promise<void>;
  /** `POST /containers/{id}/rename`. */
  containerRename(name: string, newName: string, options?: CallOptions): Promise<void>;
  /** `GET /containers/{id}/top`; `psArguments` are those of ps(1). */
  containerTop(name: string, psArguments?: readonly string[], options?: CallOptions): Promise<TopResponse>;
}

/** {@link ContainerApi} over a connection to a daemon. */
export function containerApi(transport: Transport): ContainerApi {
  return { ...lifecycle(transport), ...queries(transport), ...streaming(transport) };
}

const path = (name: string, action: string): string => `/containers/${containerPart(name)}${action}`;

type Lifecycle = Pick<
  ContainerApi,
  | "containerCreate"
  | "containerStart"
  | "containerStop"
  | "containerRestart"
  | "containerKill"
  | "containerPause"
  | "containerUnpause"
  | "containerRemove"
  | "containerRename"
  | "containerResize"
>;

function lifecycle(transport: Transport): Lifecycle {
  const post = (name: string, action: string, options: CallOptions = {}): Promise<number> =>
    transport.empty("POST", path(name, action), { signal: options.signal });
  const stop = (name: string, action: string, query: StopQuery): Promise<number> =>
    transport.empty("POST", path(name, action), {
      query: { signal: query.stopSignal, t: query.timeoutSeconds },
      signal: query.signal,
      accept: [304],
    });
  return {
    containerCreate: (request, { name, platform, signal } = {}) =>
      transport.json("POST", "/containers/create", { query: { name, platform }, json: request, signal }),
    containerStart: async (name, { detachKeys, signal } = {}) =>
      (await transport.empty("POST", path(name, "/start"), {
        query: { detachKeys },
        signal,
        accept: [304],
      })) !== 304,
    containerStop: async (name, query = {}) => (await stop(name, "/stop", query)) !== 304,
    containerRestart: async (name, query = {}) => void (await stop(name, "/restart", query)),
    containerKill: async (name, killSignal, options = {}) => {
      await transport.empty("POST", path(name, "/kill"), { query: { signal: killSignal }, ...options });
    },
    containerPause: async (name, options) => void (await post(name, "/pause", options)),
    containerUnpause: async (name, options) => void (await post(name, "/unpause", options)),
    containerRemove: async (name, { force, volumes, link, signal } = {}) => {
      await transport.empty("DELETE", path(name, ""), { query: { force, link, v: volumes }, signal });
    },
    containerRename: async (name, newName, { signal } = {}) => {
      await transport.empty("POST", path(name, "/rename"), { query: { name: newName }, signal });
    },
    containerResize: async (name, height, width) => {
      await transport.empty("POST", path(name, "/resize"), { query: { h: height, w: width } });
    },
  };
}

function queries(
  transport: Transport,
): Pick<ContainerApi, "containerList" | "containerInspect" | "containerTop"> {
  return {
    containerList: ({ all, limit, size, filters, signal } = {}) =>
      transport.json("GET", "/containers/json", {
        query: { all, limit, size, filters: filtersParameter(filters) },
        signal,
      }),
    containerInspect: (name, { size, signal, newestVersion } = {}) =>
      transport.json("GET", path(name, "/json"), {
        query: { size },
        signal,
        ...(newestVersion !== undefined && { newestVersion }),
      }),
    containerTop: (name, psArguments = [], { signal } = {}) =>
      transport.json("GET", path(name, "/top"), {
        query: { ps_args: psArguments.length === 0 ? undefined : psArguments.join(" ") },
        signal,
      }),
  };
}

function streaming(
  transport: Transport,
): Pick<ContainerApi, "containerWait" | "containerAttach" | "containerLogs"> {
  return {
    containerWait: async (name, condition, { signal } = {}) => {
      const response = await transport.request("POST", path(name, "/wait"), { query: { condition }, signal });
      const result = readText(response.body).then((text) => JSON.parse(text) as WaitResponse);
      // Who closes the wait does not want to hear of it.
      result.catch(() => {});
      return { result, close: () => response.body.destroy() };
    },
    containerAttach: async (name, { stdin, stdout, stderr, logs, detachKeys, tty, signal } = {}) => {
      const { socket, headers } = await transport.hijack(path(name, "/attach"), {
        query: { detachKeys, logs, stderr, stdin, stdout, stream: true },
        headers: { "Content-Type": "text/plain" },
        signal,
      });
      return stdioStream(socket, headers.get("content-type"), tty);
    },
    containerLogs: async (name, query = {}) => {
      const { stdout, stderr, follow, tail, since, until, timestamps, details, tty, signal } = query;
      const response = await transport.request("GET", path(name, "/logs"), {
        query: { details, follow, since, stderr, stdout, tail, timestamps, until },
        signal,
      });
      return outputReader(response.body, response.headers.get("content-type"), tty);
    },
  };
}
