/**
 * One build for one platform: stages are worked out when somebody needs them, each once, all that do not wait for another
 * at the same time. The first failure ends all of them.
 */
import { decompress } from "../image/decompress.ts";
import type { Platform } from "../oci/image-spec.ts";
import { formatPlatform, parsePlatform, platformOf } from "../oci/platform.ts";
import { factsOf, stagePlatform } from "./base-platform.ts";
import { type GraphNode, operationOf, sourceNode } from "./build-graph.ts";
import { withBuildFailure } from "./build.ts";
import type { CacheRecord } from "./cache-store.ts";
import type { Instruction, SourceRange, Stage } from "./dockerfile/ast.ts";
import type { BaseFacts } from "./dockerfile/check.ts";
import { DockerfileError } from "./dockerfile/error.ts";
import { expandInstruction, expandText } from "./dockerfile/expand.ts";
import { parseTriggers } from "./dockerfile/parse.ts";
import { StageScope } from "./dockerfile/scope.ts";
import { addHistory, applyInstruction } from "./image-config.ts";
import { chainOn, type Layer, topOf } from "./layers.ts";
import { StageOrigins } from "./origins.ts";
import { baseName, isFileStep, type Origin, originOf } from "./plan.ts";
import { goTime, type VertexProgress } from "./progress.ts";
import type { MountOrigin } from "./run-mounts.ts";
import type { SessionParts, StageState } from "./session-parts.ts";
import { countSteps, fromTitle, shownCode, type StepCounter, stepTitle } from "./step-titles.ts";
import { noteStep } from "./step-images.ts";
import { StepFailure, takeStep } from "./steps.ts";

export class BuildSession {
  readonly parts: SessionParts;
  readonly #stages = new Map<number, Promise<StageState>>();
  readonly #origins: StageOrigins;
  readonly #counter: StepCounter;
  /** Top layer -> the record that it came from. */
  readonly #recordOf = new Map<string, string>();

  constructor(parts: SessionParts) {
    this.parts = parts;
    this.#origins = new StageOrigins(parts, (stage) => this.stage(stage));
    this.#counter = countSteps(parts);
  }

  /** Works out all stages that are needed; answers the target's. */
  async run(): Promise<StageState> {
    const { plan } = this.parts;
    const all = plan.stages.map((stage) => this.stage(stage));
    // Every one has ended before a failure is told: nothing goes on behind the caller's back.
    const settled = await Promise.allSettled(all);
    const failed = settled.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    return this.stage(plan.target);
  }

  stage(stage: Stage): Promise<StageState> {
    let state = this.#stages.get(stage.index);
    if (state === undefined) {
      state = this.#evaluate(stage);
      this.#stages.set(stage.index, state);
    }
    return state;
  }

  async #evaluate(stage: Stage): Promise<StageState> {
    const state = await this.#located(stage.range, undefined, () => this.#base(stage));
    const { source } = this.parts.dockerfile;
    const triggers = parseTriggers(state.config.OnBuild ?? [], { source, stage });
    delete state.config.OnBuild;
    const all: Instruction[] = [...triggers, ...stage.instructions];
    // FROM counts where it brings an image.
    const before = ["image", "context"].includes(this.#originOf(stage).kind) ? 1 : 0;
    const of = all.filter(isFileStep).length + before;
    let fileStep = before;
    let previous: string | undefined;
    for (const [index, instruction] of all.entries()) {
      this.parts.signal.throwIfAborted();
      if (isFileStep(instruction)) fileStep += 1;
      const range = index < triggers.length ? stage.range : instruction.range;
      const own = index - triggers.length;
      const vertex = this.parts.progress.vertex(
        `step ${formatPlatform(this.parts.platform)} ${stage.index} ${index} ${source.text}`,
        stepTitle(this.parts, stage, instruction, { state, step: fileStep, of }),
        previous === undefined ? [] : [previous],
      );
      const step = own < 0 ? undefined : this.#counter.indexOf(stage, own);
      this.#tellStep(vertex, step, { text: shownCode(instruction), state: "begin" });
      await this.#located(range, vertex, () =>
        this.#instruction(state, instruction, { vertex, step, range }),
      );
      this.#tellStep(vertex, step, {
        text: shownCode(instruction),
        state: "done",
        ...noteStep(this.parts, state),
      });
      if (isFileStep(instruction)) previous = vertex.digest;
    }
    return state;
  }

  #tellStep(
    vertex: VertexProgress,
    index: number | undefined,
    step: {
      readonly text: string;
      readonly state: "begin" | "cached" | "running" | "removed" | "done";
      readonly id?: string;
    },
  ): void {
    if (index === undefined) return;
    this.parts.progress.emit({
      kind: "step",
      vertex: vertex.digest,
      index,
      total: this.#counter.total,
      ...step,
    });
  }

  async #instruction(
    state: StageState,
    written: Instruction,
    {
      vertex,
      step,
      range,
    }: {
      readonly vertex: VertexProgress;
      readonly step: number | undefined;
      readonly range: SourceRange;
    },
  ): Promise<void> {
    const { dockerfile, meta, request } = this.parts;
    if (written.kind === "arg") {
      const declared = state.scope.declare(written, { dockerfile, meta, buildArgs: request.buildArgs ?? {} });
      const shown = declared.map(({ key, value }) => (value === undefined ? key : `${key}=${value}`));
      addHistory(state, `ARG ${shown.join(" ")}`, { isStep: false, hasLayer: false });
      return;
    }
    const instruction = expandInstruction(written, {
      variables: state.scope.variables,
      escape: dockerfile.directives.escape,
      source: dockerfile.source,
    });
    if (applyInstruction(state, instruction)) {
      if (instruction.kind === "env")
        for (const { key, value } of instruction.entries) state.scope.setEnv(key, value);
      return;
    }
    await takeStep(this, state, instruction, {
      vertex,
      tell: (what, id) =>
        this.#tellStep(vertex, step, {
          text: shownCode(written),
          state: what,
          ...(id === undefined ? {} : { id }),
        }),
    });
    await this.#note(state, instruction, { vertex: vertex.digest, range });
  }

  /** Remembers what a step was, for provenance. */
  async #note(
    state: StageState,
    instruction: Instruction,
    place: Pick<GraphNode, "vertex" | "range">,
  ): Promise<void> {
    if (this.parts.request.provenance?.mode !== "max") return;
    const sources = await this.#origins.nodes(state.stage, instruction);
    state.node = {
      operation: operationOf(instruction, state),
      platform: state.platform,
      inputs: [...(state.node === undefined ? [] : [state.node]), ...sources],
      ...place,
      layers: state.layers.map(({ descriptor }) => descriptor),
    };
  }

  /** What FROM means. */
  #originOf(stage: Stage): Origin {
    const { dockerfile, meta } = this.parts;
    const name = baseName(stage, dockerfile, meta);
    const contexts = this.#origins.contextNames;
    return originOf(name, { stage, isBase: true }, { dockerfile, contexts });
  }

  /** The platform that a FROM is for, and whether somebody has asked for it. Throws `invalidArgument`. */
  #platformOf(stage: Stage): { readonly platform: Platform; readonly isAsked: boolean } {
    const { dockerfile, meta, platform, request } = this.parts;
    const written =
      stage.platform === undefined ? "" : expandText(stage.platform, meta, dockerfile.directives.escape);
    if (written !== "") return { platform: parsePlatform(written), isAsked: true };
    return { platform, isAsked: (request.platforms ?? []).length > 0 };
  }

  /** What the build checks want to know of the images that stages stand on; of one that cannot be had nothing. */
  async baseFacts(): Promise<ReadonlyMap<Stage, BaseFacts>> {
    const facts = new Map<Stage, BaseFacts>();
    await Promise.allSettled(
      this.parts.plan.stages.map(async (stage) => {
        const origin = this.#originOf(stage);
        if (origin.kind !== "image" && origin.kind !== "context") return;
        const asked = this.#platformOf(stage);
        const { config } = await this.#origins.baseImage(origin, asked.platform);
        facts.set(stage, factsOf(config, asked, origin.kind === "image"));
      }),
    );
    return facts;
  }

  async #base(stage: Stage): Promise<StageState> {
    const { dockerfile, platform: target, request } = this.parts;
    const asked = this.#platformOf(stage);
    const origin = this.#originOf(stage);
    const draft = { stage, node: undefined, history: [], author: undefined, hasOwnCmd: false, steps: [] };
    const step = this.#counter.indexOf(stage, -1);
    const tell = (vertex: VertexProgress, id?: string): void => {
      this.#tellStep(vertex, step, { text: stage.code, state: "begin" });
      this.#tellStep(vertex, step, { text: stage.code, state: "done", ...(id === undefined ? {} : { id }) });
    };
    const identity = `from ${formatPlatform(asked.platform)} ${stage.index} ${dockerfile.source.text}`;
    if (origin.kind === "stage") {
      const below = await this.stage(origin.stage);
      tell(this.parts.progress.vertex(identity, stage.code));
      return {
        ...draft,
        platform: below.platform,
        imagePlatform: below.imagePlatform,
        basePlatform: below.basePlatform,
        author: below.author,
        baseId: below.baseId,
        steps: below.steps,
        config: structuredClone(below.config),
        history: [...below.history],
        layers: below.layers,
        node: below.node,
        scope: StageScope.onStage(below.scope),
      };
    }
    if (origin.kind === "scratch") {
      tell(this.parts.progress.vertex(identity, stage.code));
      const env = [`PATH=${defaultPath}`];
      const config = { Env: env, WorkingDir: "/" };
      const platforms = { platform: asked.platform, imagePlatform: target, basePlatform: undefined };
      return {
        ...draft,
        ...platforms,
        baseId: undefined,
        config,
        layers: [],
        scope: StageScope.onImage(env),
      };
    }
    const base = await this.#origins.baseImage(origin, asked.platform);
    const { author, config = {}, history = [] } = base.config;
    const basePlatform = platformOf(base.config);
    const isTargeted = (request.platforms ?? []).length > 0;
    const title = fromTitle(this.parts, stage, base.name);
    const vertex = this.parts.progress.vertex(identity, title);
    vertex.cached();
    tell(vertex, base.id);
    const node = sourceNode(`docker-image://${base.name}`, {
      platform: basePlatform ?? asked.platform,
      vertex: vertex.digest,
      range: stage.range,
      layers: base.layers.map(({ descriptor }) => descriptor),
    });
    return {
      ...draft,
      node,
      platform: stagePlatform(base.config, asked),
      imagePlatform: isTargeted ? target : (basePlatform ?? target),
      basePlatform,
      author,
      baseId: base.id,
      config: { ...structuredClone(config), Env: config.Env ?? [`PATH=${defaultPath}`] },
      history: [...history],
      layers: base.layers,
      scope: StageScope.onImage(config.Env ?? []),
    };
  }

  /** The files that `--from` (or nothing) means in a stage. */
  origin(stage: Stage, from: string | undefined): Promise<MountOrigin> {
    return this.#origins.files(stage, from);
  }

  /** Keeps a record to the end of the build; it goes along with exported cache. */
  holdRecord(record: CacheRecord): void {
    const { cache, undo, usedRecords } = this.parts;
    usedRecords.add(record.id);
    undo.use(cache.hold(record.id));
    const top = topOf(record.layers);
    if (top !== undefined) this.#recordOf.set(top, record.id);
  }

  /** The record that a stage stands on, as a list of one or none. */
  recordBelow({ layers }: StageState): string[] {
    const top = topOf(layers);
    const id = top === undefined ? undefined : this.#recordOf.get(top);
    return id === undefined ? [] : [id];
  }

  /** The time in the history of what was made then. */
  created(createdAt: string): string {
    const { epochNs } = this.parts;
    return goTime(epochNs === undefined ? new Date(createdAt) : new Date(Number(epochNs / 1_000_000n)));
  }

  /** Puts the one layer of a record on a stage's others. */
  async relayer(state: StageState, record: CacheRecord): Promise<Layer> {
    const { host, lease } = this.parts;
    const { diffId, descriptor } = record.layers.at(-1)!;
    const parent = topOf(state.layers);
    const chainId = chainOn(parent, diffId);
    lease.add(chainId);
    if (!host.snapshotter.has(chainId)) {
      const tar = decompress(host.content.open(descriptor.digest));
      await host.snapshotter.applyLayer({ chainId, parent, tar, expectDiffId: diffId });
    }
    return { diffId, descriptor, chainId };
  }

  /** Runs a part of a stage; its failure says where in the Dockerfile it is, and ends the whole build. */
  async #located<T>(
    range: SourceRange,
    vertex: VertexProgress | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const failure = withBuildFailure(error, {
        source: (error instanceof DockerfileError ? error.source : undefined) ?? this.parts.dockerfile.source,
        ranges: [(error instanceof DockerfileError ? error.range : undefined) ?? range],
        vertex: vertex?.digest,
        exitCode: error instanceof StepFailure ? error.exitCode : undefined,
        command: error instanceof StepFailure ? error.command : undefined,
        lastLines: error instanceof StepFailure ? error.lastLines : [],
      });
      this.parts.abort(failure);
      throw failure;
    }
  }
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
