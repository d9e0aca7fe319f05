/**
 * What results of a client-driven build refer to (BuildKit, frontend/gateway): sources that the client asked for, and what
 * was built. A reference can be read file by file, and be handed to another build as a context.
 */
import { randomBytes } from "node:crypto";
import { EngineError } from "../../base/errors.ts";
import { GrpcError, grpcCodes } from "../../base/grpc/status.ts";
import type { Builder, BuiltImage, ContextSource, LookingRequest, OpenedFiles } from "../../build/build.ts";
import { type GraphSource, sourceGraph } from "../../wire/buildkit/graph.ts";

/** A graph of ours is this address; clients hand it back as they got it. */
const scheme = "gantry-built://";
/** So many results are remembered for builds that stand on them. */
const maxBuilt = 200;

/** What was built, over all builds of a daemon. */
export class BuiltReferences {
  readonly #built = new Map<string, readonly BuiltImage[]>();

  /** Remembers a result; its graph is what other builds name it by. */
  add(images: readonly BuiltImage[]): {
    readonly id: string;
    readonly graph: ReturnType<typeof sourceGraph>;
  } {
    const id = randomBytes(12).toString("hex");
    this.#built.set(id, images);
    for (const old of this.#built.keys()) {
      if (this.#built.size <= maxBuilt) break;
      this.#built.delete(old);
    }
    return { id, graph: sourceGraph(scheme + id) };
  }

  /** The result that a source names; undefined for a source of another kind. Throws {@link GrpcError}. */
  find({ identifier }: GraphSource): ContextSource | undefined {
    if (!identifier.startsWith(scheme)) return undefined;
    const images = this.#built.get(identifier.slice(scheme.length));
    if (images === undefined)
      throw new GrpcError(grpcCodes.notFound, "the result of the build that this one stands on is forgotten");
    return { kind: "built", images, name: "the result of another build" };
  }

  get(id: string): ContextSource | undefined {
    const images = this.#built.get(id);
    return images === undefined ? undefined : { kind: "built", images, name: "the result" };
  }
}

/** References of one client-driven build, opened when they are first looked at. */
export class OpenReferences {
  readonly #builder: Builder;
  readonly #built: BuiltReferences;
  readonly #asked: LookingRequest;
  readonly #sources = new Map<string, ContextSource>();
  readonly #opened = new Map<string, Promise<OpenedFiles>>();

  constructor(builder: Builder, built: BuiltReferences, asked: LookingRequest) {
    this.#builder = builder;
    this.#built = built;
    this.#asked = asked;
  }

  add(source: ContextSource): string {
    const id = randomBytes(12).toString("hex");
    this.#sources.set(id, source);
    return id;
  }

  /** Throws {@link GrpcError} for a reference that nobody knows, `EngineError` for one that cannot be opened. */
  async open(id: string): Promise<OpenedFiles> {
    let opened = this.#opened.get(id);
    if (opened === undefined) {
      const source = this.#sources.get(id) ?? this.#built.get(id);
      if (source === undefined) throw new GrpcError(grpcCodes.notFound, `no such reference ${id}`);
      opened = this.#builder.openFiles(source, this.#asked);
      opened.catch(() => {});
      this.#opened.set(id, opened);
    }
    return opened;
  }

  imageConfig(
    reference: string,
    platform: Parameters<Builder["imageConfig"]>[1],
  ): ReturnType<Builder["imageConfig"]> {
    return this.#builder.imageConfig(reference, platform, this.#asked);
  }

  async close(): Promise<void> {
    const settled = await Promise.allSettled(this.#opened.values());
    this.#opened.clear();
    for (const result of settled)
      if (result.status === "fulfilled") await result.value[Symbol.asyncDispose]();
  }
}

/** Throws `notImplemented`: what a graph means that is more than a source. */
export function refuseGraph(): never {
  throw new EngineError(
    "notImplemented",
    "build graphs in BuildKit's own form (LLB) are not run by gantry, only sources are read: it builds Dockerfiles (frontend dockerfile.v0)",
  );
}
