/**
 * What this side of a build offers to the builder while it runs: directories, secrets, agents, credentials, places for the
 * result. The builder calls these methods on a connection of its own (`POST /session`).
 */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { createConnection } from "node:net";
import type { Readable, Writable } from "node:stream";
import { type MethodHandler, GrpcServer, method, unary } from "../../base/grpc/server.ts";
import type { ServerCall } from "../../base/grpc/server.ts";
import { GrpcError, grpcCodes } from "../../base/grpc/status.ts";
import { bytesMessage } from "../../wire/buildkit/control.ts";
import { fileSendDiffCopy, fileSyncDiffCopy, fileSyncKeys, packet } from "../../wire/buildkit/filesync.ts";
import * as wire from "../../wire/buildkit/session.ts";
import { sendFiles } from "../../wire/buildkit/transfer.ts";
import type { RegistryAuth } from "../../wire/registry.ts";
import type { Transport } from "../transport.ts";
import { contentMethods, type LayoutStore } from "./layout-store.ts";
import type { OfferedDirectory } from "./local-directory.ts";
import { receiveDirectory } from "./receive-directory.ts";

/** Where a secret's value is. */
export type SecretSource = { readonly file: string } | { readonly value: string };

/** Where the result of an exporter goes. */
export type OutputPlace = { readonly directory: string } | { readonly open: () => Writable };

export interface SessionOffer {
  /** By the names that the build's attributes say. */
  readonly directories: ReadonlyMap<string, OfferedDirectory>;
  readonly secrets?: ReadonlyMap<string, SecretSource>;
  /** Sockets of agents by id. */
  readonly agents?: ReadonlyMap<string, string>;
  readonly credentials?: (host: string) => Promise<RegistryAuth | undefined>;
  /** By the exporter's number. */
  readonly outputs?: ReadonlyMap<number, OutputPlace>;
  /** Streams that the builder fetches as `http://buildkit-session/<name>`. */
  readonly uploads?: ReadonlyMap<string, Readable>;
  /** OCI layouts by their ids (`local:DIRECTORY`, `oci:NAME`, `export`). */
  readonly stores?: ReadonlyMap<string, LayoutStore>;
  /** Says which directory it is, in each build the same; see {@link sharedKeyOf}. */
  readonly sharedKey?: string;
}

const serving = 1;
const chunkBytes = 1024 * 1024;
const maxSecretBytes = 500 * 1024;
const uploadPull = "/moby.upload.v1.Upload/Pull";

/** A name for a directory of this machine that stays the same. */
export function sharedKeyOf(directory: string): string {
  const hash = createHash("sha256").update(`${hostname()}\0${directory}`).digest("hex").slice(0, 16);
  return `${directory.split("/").at(-1) ?? ""}:${hash}`;
}

/** An offer on its connection. */
export class BuildSession implements Disposable {
  readonly id = randomBytes(13).toString("hex");
  readonly #offer: SessionOffer;
  #close: (() => void) | undefined;

  constructor(offer: SessionOffer) {
    this.#offer = offer;
  }

  /** Opens the connection, and serves it until one of the sides ends it. */
  async open(transport: Transport, signal?: AbortSignal): Promise<void> {
    const methods = new Map(this.#methods());
    const { socket } = await transport.hijack("/session", {
      upgrade: "h2c",
      headers: {
        [wire.sessionHeaders.id]: this.id,
        [wire.sessionHeaders.name]: "gantry",
        ...(this.#offer.sharedKey === undefined
          ? {}
          : { [wire.sessionHeaders.sharedKey]: this.#offer.sharedKey }),
        // BuildKit takes a line for one method, whatever commas are in it.
        [wire.sessionHeaders.method]: [...methods.keys()],
      },
      signal,
    });
    this.#close = () => socket.destroy();
    void new GrpcServer({ methods }).serve(socket);
  }

  [Symbol.dispose](): void {
    this.#close?.();
  }

  *#methods(): Generator<[string, MethodHandler<never, never>]> {
    yield method(
      wire.healthCheckPath,
      unary({ incoming: wire.healthCheckRequest, outgoing: wire.healthCheckResponse }, () => ({
        status: serving,
      })),
    );
    yield method(fileSyncDiffCopy, {
      incoming: packet,
      outgoing: packet,
      handle: (call) => this.#sendDirectory(call),
    });
    const { secrets, agents, credentials, outputs, stores, uploads } = this.#offer;
    if (stores !== undefined && stores.size > 0) yield* contentMethods(stores);
    if (outputs !== undefined && outputs.size > 0)
      yield method(fileSendDiffCopy, {
        incoming: raw,
        outgoing: raw,
        handle: (call) => takeOutput(call, outputs),
      });
    if (secrets !== undefined) yield secretMethod(secrets);
    if (agents !== undefined) yield* agentMethods(agents);
    if (credentials !== undefined) yield credentialMethod(credentials);
    if (uploads !== undefined)
      yield method(uploadPull, {
        incoming: bytesMessage,
        outgoing: bytesMessage,
        handle: (call) => sendUpload(call, uploads),
      });
  }

  async #sendDirectory(call: ServerCall<Packet, PacketInit>): Promise<void> {
    const values = (key: string): readonly string[] => {
      const given = call.metadata.get(key) ?? [];
      const encoded = call.metadata.get(`${key}-encoded`)?.[0] === "1";
      return encoded ? given.map((value) => decodeURIComponent(value.replaceAll("+", "%20"))) : given;
    };
    const name = values(fileSyncKeys.directory)[0] ?? "";
    const directory = this.#offer.directories.get(name);
    if (directory === undefined)
      throw new GrpcError(grpcCodes.notFound, `no access allowed to dir ${JSON.stringify(name)}`);
    const files = directory.list({
      include: values(fileSyncKeys.include),
      exclude: values(fileSyncKeys.exclude),
      followPaths: values(fileSyncKeys.followPaths),
    });
    await sendFiles(call, files, (file) => directory.read(file));
  }
}

type Packet = ReturnType<typeof packet.decode>;
type PacketInit = Parameters<typeof packet.encode>[0];

/** Messages of one method that are packets for a directory, and bytes for a file. */
const raw = {
  encode: (bytes: Uint8Array): Uint8Array => bytes,
  decode: (bytes: Uint8Array): Uint8Array => bytes,
};

async function takeOutput(
  call: ServerCall<Uint8Array, Uint8Array>,
  outputs: ReadonlyMap<number, OutputPlace>,
): Promise<void> {
  const number = Number(call.metadata.get(fileSyncKeys.exporter)?.[0] ?? 0);
  const place = outputs.get(number);
  if (place === undefined) throw new GrpcError(grpcCodes.notFound, `exporter ${number} not found`);
  if ("directory" in place) {
    await receiveDirectory(
      {
        receive: async () => {
          const bytes = await call.receive();
          return bytes === undefined ? undefined : packet.decode(bytes);
        },
        send: (message) => call.send(packet.encode(message)),
        get isFull() {
          return call.isFull;
        },
        drained: () => call.drained(),
      },
      place.directory,
    );
    return;
  }
  const file = place.open();
  const finished = new Promise<void>((resolve, reject) => {
    file.once("finish", resolve);
    file.once("error", reject);
  });
  // Thrown where it is waited for.
  finished.catch(() => {});
  for await (const message of call.messages()) {
    const { data } = bytesMessage.decode(message);
    if (!file.write(data))
      await Promise.race([new Promise<void>((resolve) => void file.once("drain", resolve)), finished]);
  }
  file.end();
  await finished;
}

function secretMethod(secrets: ReadonlyMap<string, SecretSource>): [string, MethodHandler<never, never>] {
  return method(
    wire.getSecretPath,
    unary({ incoming: wire.getSecretRequest, outgoing: wire.getSecretResponse }, ({ ID }) => {
      const secret = secrets.get(ID);
      if (secret === undefined) throw new GrpcError(grpcCodes.notFound, `secret ${ID}: not found`);
      const data = "file" in secret ? readFileSync(secret.file) : Buffer.from(secret.value);
      if (data.length > maxSecretBytes)
        throw new GrpcError(grpcCodes.invalidArgument, `invalid secret size ${data.length}: at most 500KB`);
      return { data };
    }),
  );
}

function* agentMethods(
  agents: ReadonlyMap<string, string>,
): Generator<[string, MethodHandler<never, never>]> {
  const socketOf = (id: string): string => {
    const path = agents.get(id === "" ? "default" : id);
    if (path === undefined)
      throw new GrpcError(grpcCodes.notFound, `unset ssh forward key ${id || "default"}`);
    return path;
  };
  yield method(
    `${wire.sshService}CheckAgent`,
    unary({ incoming: wire.checkAgentRequest, outgoing: wire.checkAgentResponse }, ({ ID }) => {
      socketOf(ID);
      return {};
    }),
  );
  yield method(`${wire.sshService}ForwardAgent`, {
    incoming: bytesMessage,
    outgoing: bytesMessage,
    async handle(call) {
      const socket = createConnection(socketOf(call.metadata.get(wire.sshIdKey)?.[0] ?? ""));
      const ended = new Promise<void>((resolve, reject) => {
        socket.once("close", () => resolve());
        socket.once("error", reject);
      });
      socket.on("data", (data: Buffer) => call.send({ data }));
      call.signal.addEventListener("abort", () => socket.destroy(), { once: true });
      const pump = async (): Promise<void> => {
        for await (const { data } of call.messages()) socket.write(data);
        socket.end();
      };
      await Promise.all([pump(), ended]);
    },
  });
}

function credentialMethod(
  credentials: (host: string) => Promise<RegistryAuth | undefined>,
): [string, MethodHandler<never, never>] {
  return method(
    `${wire.authService}Credentials`,
    unary({ incoming: wire.credentialsRequest, outgoing: wire.credentialsResponse }, async ({ Host }) => {
      const found = await credentials(Host);
      if (found === undefined) return {};
      return found.identitytoken === undefined
        ? { Username: found.username ?? "", Secret: found.password ?? "" }
        : { Secret: found.identitytoken };
    }),
  );
}

async function sendUpload(
  call: ServerCall<unknown, { data?: Uint8Array }>,
  uploads: ReadonlyMap<string, Readable>,
): Promise<void> {
  const name = (call.metadata.get("urlpath")?.[0] ?? "").replace(/^\//, "");
  const stream = uploads.get(name);
  if (stream === undefined) throw new GrpcError(grpcCodes.notFound, `no upload ${name}`);
  for await (const chunk of stream as AsyncIterable<Buffer>)
    for (let at = 0; at < chunk.length; at += chunkBytes) {
      call.send({ data: chunk.subarray(at, at + chunkBytes) });
      if (call.isFull) await call.drained();
    }
}
