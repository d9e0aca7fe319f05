/**
 * OCI layouts of this machine (OCI image specification 1.1, image-layout) that a builder reads and writes blob by blob
 * (containerd's content service): cache of the type `local`, contexts `oci-layout://`, outputs with `tar=false`.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  createReadStream,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../../base/atomic-file.ts";
import { type MethodHandler, method, type ServerCall } from "../../base/grpc/server.ts";
import { GrpcError, grpcCodes } from "../../base/grpc/status.ts";
import { invalidArgument, notFound } from "../../base/errors.ts";
import { isDigest, parseDigest } from "../../oci/digest.ts";
import type { Descriptor, ImageIndex } from "../../oci/image-spec.ts";
import * as content from "../../wire/buildkit/content.ts";
import type { Decoded, Encodable } from "../../wire/protobuf.ts";

const chunkBytes = 1024 * 1024;
const refName = "org.opencontainers.image.ref.name";

export class LayoutStore {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** Makes the directory a layout, when it is none yet. */
  create(): void {
    mkdirSync(join(this.directory, "blobs", "sha256"), { recursive: true });
    const marker = join(this.directory, "oci-layout");
    if (!existsSync(marker)) writeFileAtomic(marker, JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  }

  /** Throws {@link GrpcError} for what is no digest. */
  blobPath(digest: string): string {
    if (!isDigest(digest)) throw new GrpcError(grpcCodes.invalidArgument, `${digest} is no digest`);
    const { algorithm, hex } = parseDigest(digest);
    return join(this.directory, "blobs", algorithm, hex);
  }

  /** The digest that a tag names, or the only one. Throws `notFound`, `invalidArgument`. */
  find(tag: string): string {
    const { manifests } = this.#index();
    const match =
      manifests.find(({ annotations }) => annotations?.[refName] === tag) ??
      (manifests.length === 1 ? manifests[0] : undefined);
    if (match === undefined) throw notFound(`the OCI layout ${this.directory} has no ${tag}`);
    return match.digest;
  }

  #index(): ImageIndex {
    const path = join(this.directory, "index.json");
    if (!existsSync(path)) throw notFound(`${this.directory} is no OCI layout: it has no index.json`);
    try {
      return JSON.parse(readFileSync(path, "utf8")) as ImageIndex;
    } catch (error) {
      throw invalidArgument(`${path} is no JSON`, { cause: error });
    }
  }

  /** Lets a tag name a manifest that has been written. */
  tag(tag: string, descriptor: Descriptor): void {
    const path = join(this.directory, "index.json");
    const others = existsSync(path)
      ? this.#index().manifests.filter(({ annotations }) => annotations?.[refName] !== tag)
      : [];
    const named = { ...descriptor, annotations: { ...descriptor.annotations, [refName]: tag } };
    writeFileAtomic(path, JSON.stringify({ schemaVersion: 2, manifests: [...others, named] }));
  }
}

type WriteCall = ServerCall<
  Decoded<typeof content.writeContentRequest>,
  Encodable<typeof content.writeContentResponse>
>;

/** The methods by which a builder uses stores; calls name them by their id. */
export function* contentMethods(
  stores: ReadonlyMap<string, LayoutStore>,
): Generator<[string, MethodHandler<never, never>]> {
  const storeOf = (metadata: ReadonlyMap<string, readonly string[]>): LayoutStore => {
    const id = metadata.get(content.contentStoreKey)?.[0] ?? "";
    const store = stores.get(id);
    if (store === undefined) throw new GrpcError(grpcCodes.notFound, `unknown store ${id}`);
    return store;
  };
  yield method(`${content.contentService}Read`, {
    incoming: content.readContentRequest,
    outgoing: content.readContentResponse,
    async handle(call) {
      const asked = await call.receive();
      if (asked === undefined) return;
      const path = storeOf(call.metadata).blobPath(asked.digest);
      if (!existsSync(path)) throw new GrpcError(grpcCodes.notFound, `content ${asked.digest}: not found`);
      let { offset } = asked;
      for await (const data of createReadStream(path, { start: offset, highWaterMark: chunkBytes })) {
        call.send({ offset, data: data as Buffer });
        offset += (data as Buffer).length;
        if (call.isFull) await call.drained();
      }
    },
  });
  yield method(`${content.contentService}Write`, {
    incoming: content.writeContentRequest,
    outgoing: content.writeContentResponse,
    handle: (call) => takeBlob(call, storeOf(call.metadata)),
  });
}

/** One blob: written beside its place, and moved there when its digest is right. */
async function takeBlob(call: WriteCall, store: LayoutStore): Promise<void> {
  const unfinished = join(store.directory, `.ingest-${process.pid}-${Math.random().toString(36).slice(2)}`);
  const file = openSync(unfinished, "wx", 0o644);
  try {
    const hash = createHash("sha256");
    let offset = 0;
    for await (const { action, data, expected } of call.messages()) {
      if (existsSync(store.blobPath(expected)))
        throw new GrpcError(grpcCodes.alreadyExists, `content ${expected}: already exists`);
      if (data.length > 0) {
        hash.update(data);
        writeSync(file, data);
        offset += data.length;
      }
      if (action === content.writeActions.commit) {
        const digest = `sha256:${hash.digest("hex")}`;
        if (digest !== expected)
          throw new GrpcError(
            grpcCodes.failedPrecondition,
            `unexpected digest ${digest}, wanted ${expected}`,
          );
        renameSync(unfinished, store.blobPath(expected));
        call.send({ action, offset, digest });
        return;
      }
      call.send({ action, offset });
    }
  } finally {
    closeSync(file);
    rmSync(unfinished, { force: true });
  }
}
