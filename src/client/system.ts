import type { CheckReport } from "../wire/check.ts";
import type { EventMessage, SystemInfo, VersionInfo } from "../wire/system.ts";
import type { RegistryAuth, RegistryLoginResponse } from "../wire/registry.ts";
import type { EndpointSettings } from "../wire/container.ts";
import type { NetworkCreateRequest, NetworkCreateResponse, NetworkInspect } from "../wire/network.ts";
import type { VolumeCreateRequest, VolumeInspect } from "../wire/volume.ts";
import { readJsonLines } from "./json-lines.ts";
import { filtersParameter, type CallOptions, type FilterValues } from "./options.ts";
import { pathPart, type PingResult, type Transport } from "./transport.ts";

export interface EventsQuery extends CallOptions {
  /** Unix seconds with fractions, as the API takes them. */
  readonly since?: string;
  readonly until?: string;
  readonly filters?: FilterValues;
}

/** The daemon itself. */
export interface SystemApi {
  /** `HEAD /_ping`: who is there; asked once. */
  ping(): Promise<PingResult>;
  /** `GET /version`. */
  version(options?: CallOptions): Promise<VersionInfo>;
  /** `GET /info`. */
  info(options?: CallOptions): Promise<SystemInfo>;
  /** `POST /auth`: shows credentials to a registry; the daemon keeps none. */
  registryLogin(credentials: RegistryAuth, options?: CallOptions): Promise<RegistryLoginResponse>;
  /**
   * `GET /gantry/check`, gantry's own; with `repair` it is `POST`, and what can be put right is. `quick`: no contents
   * are read. 404 from another engine.
   */
  check(options: CallOptions & { quick: boolean; repair: boolean }): Promise<CheckReport>;
  /** `GET /events`: as they happen. */
  events(query?: EventsQuery): AsyncIterable<EventMessage>;
  /** The same; resolves once the daemon listens: what happens after that is told. */
  openEvents(query?: EventsQuery): Promise<AsyncIterable<EventMessage>>;
}

/** Networks. */
export interface NetworkApi {
  /** `GET /networks`. */
  networkList(query?: CallOptions & { filters?: FilterValues }): Promise<NetworkInspect[]>;
  /** `GET /networks/{id}`. */
  networkInspect(name: string, options?: CallOptions): Promise<NetworkInspect>;
  /** `POST /networks/create`. 409 when there is one of that name. */
  networkCreate(request: NetworkCreateRequest, options?: CallOptions): Promise<NetworkCreateResponse>;
  /** `DELETE /networks/{id}`. 403 when a container is connected. */
  networkRemove(name: string, options?: CallOptions): Promise<void>;
  /** `POST /networks/{id}/connect`. */
  networkConnect(
    name: string,
    container: string,
    options?: CallOptions & { endpoint?: EndpointSettings },
  ): Promise<void>;
  /** `POST /networks/{id}/disconnect`. */
  networkDisconnect(
    name: string,
    container: string,
    options?: CallOptions & { force?: boolean },
  ): Promise<void>;
}

/** Volumes. */
export interface VolumeApi {
  /** `GET /volumes`. */
  volumeList(query?: CallOptions & { filters?: FilterValues }): Promise<VolumeInspect[]>;
  /** `GET /volumes/{name}`. */
  volumeInspect(name: string, options?: CallOptions): Promise<VolumeInspect>;
  /** `POST /volumes/create`: a new volume, or the one of that name. */
  volumeCreate(request: VolumeCreateRequest, options?: CallOptions): Promise<VolumeInspect>;
  /** `DELETE /volumes/{name}`. 409 when a container has it. */
  volumeRemove(name: string, query?: CallOptions & { force?: boolean }): Promise<void>;
}

/** {@link SystemApi} over a connection to a daemon. */
export function systemApi(transport: Transport): SystemApi {
  return {
    ping: () => transport.ping(),
    version: ({ signal } = {}) => transport.json("GET", "/version", { signal }),
    info: ({ signal } = {}) => transport.json("GET", "/info", { signal }),
    registryLogin: (credentials, { signal } = {}) =>
      transport.json("POST", "/auth", { json: credentials, signal }),
    check: ({ quick, repair, signal }) =>
      transport.json(repair ? "POST" : "GET", "/gantry/check", {
        query: { quick: quick || undefined },
        signal,
      }),
    events: ({ since, until, filters, signal } = {}) =>
      transport.jsonLines<EventMessage>("GET", "/events", {
        query: { filters: filtersParameter(filters), since, until },
        signal,
      }),
    openEvents: async ({ since, until, filters, signal } = {}) => {
      const query = { filters: filtersParameter(filters), since, until };
      const { body } = await transport.request("GET", "/events", { query, signal });
      return readJsonLines<EventMessage>(body);
    },
  };
}

/** {@link NetworkApi} over a connection to a daemon. */
export function networkApi(transport: Transport): NetworkApi {
  return {
    networkList: ({ filters, signal } = {}) =>
      transport.json("GET", "/networks", { query: { filters: filtersParameter(filters) }, signal }),
    networkInspect: (name, { signal } = {}) =>
      transport.json("GET", `/networks/${pathPart(name)}`, { signal }),
    networkCreate: (request, { signal } = {}) =>
      transport.json("POST", "/networks/create", { json: request, signal }),
    networkRemove: async (name, { signal } = {}) => {
      await transport.empty("DELETE", `/networks/${pathPart(name)}`, { signal });
    },
    networkConnect: async (name, container, { endpoint, signal } = {}) => {
      await transport.empty("POST", `/networks/${pathPart(name)}/connect`, {
        json: { Container: container, ...(endpoint === undefined ? {} : { EndpointConfig: endpoint }) },
        signal,
      });
    },
    networkDisconnect: async (name, container, { force, signal } = {}) => {
      await transport.empty("POST", `/networks/${pathPart(name)}/disconnect`, {
        json: { Container: container, Force: force === true },
        signal,
      });
    },
  };
}

/** {@link VolumeApi} over a connection to a daemon. */
export function volumeApi(transport: Transport): VolumeApi {
  return {
    volumeList: async ({ filters, signal } = {}) => {
      const query = { filters: filtersParameter(filters) };
      const answer = await transport.json<{ Volumes: VolumeInspect[] | null }>("GET", "/volumes", {
        query,
        signal,
      });
      return answer.Volumes ?? [];
    },
    volumeInspect: (name, { signal } = {}) => transport.json("GET", `/volumes/${pathPart(name)}`, { signal }),
    volumeCreate: (request, { signal } = {}) =>
      transport.json("POST", "/volumes/create", { json: request, signal }),
    volumeRemove: async (name, { force, signal } = {}) => {
      await transport.empty("DELETE", `/volumes/${pathPart(name)}`, { query: { force }, signal });
    },
  };
}
