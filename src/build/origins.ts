/** What names in a stage stand for: images, other stages, build contexts, and the files of each. */
import { EngineError, invalidArgument, isKind } from "../base/errors.ts";
import type { Platform } from "../oci/image-spec.ts";
import { type BaseImage, canonicalName } from "./base-images.ts";
import type { ContextSource } from "./build.ts";
import { type GraphNode, sourceNode } from "./build-graph.ts";
import type { Instruction, Stage } from "./dockerfile/ast.ts";
import { didYouMean } from "./dockerfile/suggest.ts";
import { emptyTree, type FileTree } from "./files/file-tree.ts";
import { type Layers, openRoot, topOf } from "./layers.ts";
import { parseGitUrl } from "./git-sources.ts";
import { openContextTree } from "./open-context.ts";
import { type Origin, originOf } from "./plan.ts";
import { isHttpUrl } from "./remote-sources.ts";
import type { MountOrigin } from "./run-mounts.ts";
import type { SessionParts, StageState } from "./session-parts.ts";

/** The addresses that an instruction names, and what `--from` says; undefined for the context. */
function takenFrom(instruction: Instruction): readonly (string | { readonly from: string | undefined })[] {
  switch (instruction.kind) {
    case "copy":
      return instruction.sources.length === 0 ? [] : [{ from: instruction.from }];
    case "add":
      return instruction.sources.map((source) =>
        isHttpUrl(source) || parseGitUrl(source) !== undefined ? source : { from: undefined },
      );
    case "run":
      return instruction.mounts.flatMap(({ type, from }) =>
        from !== undefined || type === "bind" ? [{ from }] : [],
      );
    default:
      return [];
  }
}

export class StageOrigins {
  readonly #parts: SessionParts;
  readonly #stage: (stage: Stage) => Promise<StageState>;
  readonly #contexts = new Map<string, Promise<FileTree>>();
  readonly #nodes = new Map<string, GraphNode>();
  readonly contextNames: ReadonlySet<string>;

  constructor(parts: SessionParts, stage: (stage: Stage) => Promise<StageState>) {
    this.#parts = parts;
    this.#stage = stage;
    this.contextNames = new Set(Object.keys(parts.request.namedContexts ?? {}));
  }

  /** The image that FROM means. Throws `invalidArgument` for a context of files, `notFound`, `unavailable`. */
  async baseImage(
    origin: Extract<Origin, { kind: "image" | "context" }>,
    platform: Platform,
  ): Promise<BaseImage> {
    const { images } = this.#parts;
    if (origin.kind === "image") return images.get(origin.reference, platform);
    const image = await this.#imageOfContext(this.#context(origin.name), platform);
    if (image === undefined)
      throw invalidArgument(
        `the build context ${origin.name} has files and is no image: FROM needs an image`,
      );
    return image;
  }

  #context(name: string): ContextSource {
    return this.#parts.request.namedContexts![name]!;
  }

  async #imageOfContext(source: ContextSource, platform: Platform): Promise<BaseImage | undefined> {
    const { images } = this.#parts;
    if (source.kind === "image") return images.get(source.reference, platform);
    if (source.kind === "layout") return images.fromLayout(source, platform);
    if (source.kind === "built") return images.fromBuild(source, platform);
    return undefined;
  }

  /** The files that `--from` (or nothing) means in a stage. */
  async files(stage: Stage, from: string | undefined): Promise<MountOrigin> {
    if (from === undefined)
      return {
        tree: await this.#parts.mainContext(),
        chainId: undefined,
        isLayers: false,
        name: "the build context",
      };
    const { dockerfile } = this.#parts;
    const origin = originOf(from, { stage, isBase: false }, { dockerfile, contexts: this.contextNames });
    return this.#openOrigin(origin, from, stage);
  }

  async #openOrigin(origin: Origin, from: string, stage: Stage): Promise<MountOrigin> {
    if (origin.kind === "scratch") return { tree: emptyTree, chainId: undefined, isLayers: true, name: from };
    if (origin.kind === "stage") {
      const { layers } = await this.#stage(origin.stage);
      return this.#layersOrigin(layers, `stage ${origin.stage.writtenName ?? origin.stage.index}`);
    }
    if (origin.kind === "image") {
      const { layers } = await this.#imageNotStage(origin.reference);
      return this.#layersOrigin(layers, `image ${canonicalName(origin.reference)}`);
    }
    const source = this.#context(origin.name);
    const image = await this.#imageOfContext(source, this.#parts.platform);
    if (image !== undefined)
      return this.#layersOrigin(image.layers, `context ${origin.name} of stage ${stage.index}`);
    let tree = this.#contexts.get(origin.name);
    if (tree === undefined) {
      tree = this.#openContext(origin.name, source);
      this.#contexts.set(origin.name, tree);
    }
    return {
      tree: await tree,
      chainId: undefined,
      isLayers: false,
      name: `the build context ${origin.name}`,
    };
  }

  /** An image that `--from` names; a name that may be a stage's is said to be none when there is no such image. */
  async #imageNotStage(reference: string): Promise<BaseImage> {
    try {
      return await this.#parts.images.get(reference, this.#parts.platform);
    } catch (error) {
      const mayBeStage = /^[a-z][\w.-]*$/i.test(reference);
      if (!mayBeStage || !isKind(error, "notFound", "unavailable", "unauthenticated", "permissionDenied"))
        throw error;
      const stages = this.#parts.dockerfile.stages.flatMap(({ name }) => name ?? []);
      const meant = didYouMean(reference, stages);
      throw new EngineError(
        error.kind,
        `${reference} is no stage of the Dockerfile${meant}, and as an image: ${error.message}`,
        { cause: error },
      );
    }
  }

  /** What an instruction takes files from besides its stage, for provenance. */
  async nodes(stage: Stage, instruction: Instruction): Promise<GraphNode[]> {
    const found = new Set<GraphNode>();
    for (const name of takenFrom(instruction)) {
      const node = typeof name === "string" ? this.#node(name) : await this.#nodeOf(stage, name.from);
      if (node !== undefined) found.add(node);
    }
    return [...found];
  }

  async #nodeOf(stage: Stage, from: string | undefined): Promise<GraphNode | undefined> {
    if (from === undefined) return this.#contextNode(this.#parts.request.context);
    const { dockerfile } = this.#parts;
    const origin = originOf(from, { stage, isBase: false }, { dockerfile, contexts: this.contextNames });
    if (origin.kind === "stage") return (await this.#stage(origin.stage)).node;
    if (origin.kind === "context") return this.#contextNode(this.#context(origin.name));
    if (origin.kind === "scratch") return undefined;
    const { name } = await this.#imageNotStage(origin.reference);
    return this.#node(`docker-image://${name}`);
  }

  /** Of what was uploaded or built before nothing can be said. */
  #contextNode(source: ContextSource): GraphNode | undefined {
    if (source.kind === "remote") return this.#node(`local://${source.name}`);
    if (source.kind === "git" || source.kind === "http") return this.#node(source.url);
    return source.kind === "image" ? this.#node(`docker-image://${source.reference}`) : undefined;
  }

  /** One node for each source, however many steps take files from it. */
  #node(identifier: string): GraphNode {
    let node = this.#nodes.get(identifier);
    if (node === undefined) {
      node = sourceNode(identifier);
      this.#nodes.set(identifier, node);
    }
    return node;
  }

  #layersOrigin(layers: Layers, name: string): MountOrigin {
    const chainId = topOf(layers);
    // Opened when somebody looks: a step that is found by its parents' identity never does.
    let opened: FileTree | undefined;
    const open = (): FileTree => (opened ??= this.#openTree(chainId));
    return {
      tree: {
        stat: (path) => open().stat(path),
        list: (path) => open().list(path),
        read: (entry) => open().read(entry),
        digest: (entry) => open().digest(entry),
      },
      chainId,
      isLayers: true,
      name,
    };
  }

  #openTree(chainId: string | undefined): FileTree {
    const root = openRoot(this.#parts.host, chainId);
    this.#parts.undo.use(root);
    return root.tree;
  }

  #openContext(name: string, source: ContextSource): Promise<FileTree> {
    const vertex = this.#parts.progress.vertex(`context ${name}`, `[context ${name}] load from client`);
    return vertex.run(() => openContextTree(this.#parts, source, vertex));
  }
}
