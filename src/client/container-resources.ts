import type { HostConfig } from "../wire/container.ts";
import type { ContainerStats } from "../wire/stats.ts";
import type { CallOptions } from "./options.ts";
import { containerPart, type Transport } from "./transport.ts";

/** What containers use, and what they may use. */
export interface ContainerResourceApi {
  /** `GET /containers/{id}/stats`: one answer a second, or one; `oneShot` does not wait for a second sample. */
  containerStats(
    name: string,
    query?: CallOptions & { stream?: boolean; oneShot?: boolean },
  ): AsyncIterable<ContainerStats>;
  /** `POST /containers/{id}/update`: limits and restart policy; returns warnings. */
  containerUpdate(name: string, change: HostConfig, options?: CallOptions): Promise<string[]>;
}

/** {@link ContainerResourceApi} over a connection to a daemon. */
export function containerResourceApi(transport: Transport): ContainerResourceApi {
  return {
    containerStats: (name, { stream, oneShot, signal } = {}) =>
      transport.jsonLines<ContainerStats>("GET", `/containers/${containerPart(name)}/stats`, {
        query: { stream: stream === false ? "0" : "1", "one-shot": oneShot },
        signal,
      }),
    containerUpdate: async (name, change, { signal } = {}) => {
      const answer = await transport.json<{ Warnings: string[] | null }>(
        "POST",
        `/containers/${containerPart(name)}/update`,
        { json: change, signal },
      );
      return answer.Warnings ?? [];
    },
  };
}
