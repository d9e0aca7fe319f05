import type { Readable } from "node:stream";
import type { ChangeEntry, PathStat } from "../wire/container.ts";
import { ConnectionError } from "./errors.ts";
import type { CallOptions } from "./options.ts";
import { containerPart, type Transport } from "./transport.ts";

/** The files of a container. Paths are those in the container; symbolic links never lead out of it. */
export interface ContainerFileApi {
  /** `HEAD /containers/{id}/archive`; a symbolic link at the end of the path is not followed. */
  containerStatPath(name: string, path: string, options?: CallOptions): Promise<PathStat>;
  /** `GET /containers/{id}/archive`: what is at the path, and its tar. */
  containerArchive(
    name: string,
    path: string,
    options?: CallOptions,
  ): Promise<{ stat: PathStat; archive: Readable }>;
  /** `GET /containers/{id}/changes`. */
  containerChanges(name: string, options?: CallOptions): Promise<ChangeEntry[]>;
  /** `GET /containers/{id}/export`: the whole file system as a tar. */
  containerExport(name: string, options?: CallOptions): Promise<Readable>;
  /** `POST /commit`: makes an image of the container and returns its id. */
  containerCommit(
    name: string,
    query?: CallOptions & {
      repository?: string;
      tag?: string;
      author?: string;
      comment?: string;
      pause?: boolean;
      changes?: readonly string[];
    },
  ): Promise<string>;
  /** `PUT /containers/{id}/archive`: unpacks a tar in a directory of the container. */
  containerExtract(
    name: string,
    path: string,
    archive: AsyncIterable<Uint8Array>,
    query?: CallOptions & { noOverwriteDirNonDir?: boolean; copyUidGid?: boolean },
  ): Promise<void>;
}

/** {@link ContainerFileApi} over a connection to a daemon. */
export function containerFileApi(transport: Transport): ContainerFileApi {
  const place = (name: string): string => `/containers/${containerPart(name)}/archive`;
  return {
    containerStatPath: async (name, path, { signal } = {}) => {
      const response = await transport.request("HEAD", place(name), { query: { path }, signal });
      response.body.resume();
      return statOf(response.headers);
    },
    containerArchive: async (name, path, { signal } = {}) => {
      const response = await transport.request("GET", place(name), { query: { path }, signal });
      return { stat: statOf(response.headers), archive: response.body };
    },
    containerChanges: async (name, { signal } = {}) =>
      (await transport.json<ChangeEntry[] | null>("GET", `/containers/${containerPart(name)}/changes`, {
        signal,
      })) ?? [],
    containerExport: async (name, { signal } = {}) =>
      (await transport.request("GET", `/containers/${containerPart(name)}/export`, { signal })).body,
    containerCommit: async (name, { repository, tag, author, comment, pause, changes, signal } = {}) => {
      const { Id } = await transport.json<{ Id: string }>("POST", "/commit", {
        query: {
          container: name,
          repo: repository,
          tag,
          author,
          comment,
          pause: pause === false ? "0" : "1",
          changes,
        },
        signal,
      });
      return Id;
    },
    containerExtract: async (name, path, archive, { noOverwriteDirNonDir, copyUidGid, signal } = {}) => {
      await transport.empty("PUT", place(name), {
        query: { path, noOverwriteDirNonDir, copyUIDGID: copyUidGid },
        headers: { "Content-Type": "application/x-tar" },
        stream: archive,
        signal,
      });
    },
  };
}

function statOf(headers: ReadonlyMap<string, string>): PathStat {
  const text = headers.get("x-docker-container-path-stat") ?? "";
  try {
    return JSON.parse(Buffer.from(text, "base64").toString()) as PathStat;
  } catch (error) {
    throw new ConnectionError("EPROTO", "The daemon's answer says nothing readable about the path.", error);
  }
}
