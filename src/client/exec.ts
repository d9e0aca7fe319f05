import type { ExecCreateRequest, ExecInspect, ExecStartRequest } from "../wire/exec.ts";
import type { CallOptions } from "./options.ts";
import { stdioStream, type StdioStream } from "./streams.ts";
import { containerPart, pathPart, type Transport } from "./transport.ts";

/** Programs that are started in a running container. */
export interface ExecApi {
  /** `POST /containers/{id}/exec`: prepares a program and returns its id. */
  execCreate(container: string, request: ExecCreateRequest, options?: CallOptions): Promise<{ Id: string }>;
  /** `POST /exec/{id}/start` over a hijacked connection. */
  execStart(id: string, request: ExecStartRequest, options?: CallOptions): Promise<StdioStream>;
  /** `POST /exec/{id}/start` in the background. */
  execStartDetached(id: string, request?: ExecStartRequest, options?: CallOptions): Promise<void>;
  /** `POST /exec/{id}/resize`. */
  execResize(id: string, height: number, width: number): Promise<void>;
  /** `GET /exec/{id}/json`. */
  execInspect(id: string, options?: CallOptions): Promise<ExecInspect>;
}

/** {@link ExecApi} over a connection to a daemon. */
export function execApi(transport: Transport): ExecApi {
  const path = (id: string, action: string): string => `/exec/${pathPart(id)}${action}`;
  return {
    execCreate: (container, request, { signal } = {}) =>
      transport.json("POST", `/containers/${containerPart(container)}/exec`, { json: request, signal }),
    execStart: async (id, request, { signal } = {}) => {
      const { socket, headers } = await transport.hijack(path(id, "/start"), {
        json: { Detach: false, ...request },
        signal,
      });
      return stdioStream(socket, headers.get("content-type"), request.Tty);
    },
    execStartDetached: async (id, request = {}, { signal } = {}) => {
      await transport.empty("POST", path(id, "/start"), { json: { ...request, Detach: true }, signal });
    },
    execResize: async (id, height, width) => {
      await transport.empty("POST", path(id, "/resize"), { query: { h: height, w: width } });
    },
    execInspect: (id, { signal } = {}) => transport.json("GET", path(id, "/json"), { signal }),
  };
}
