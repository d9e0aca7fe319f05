/**
 * What a build did, step by step, in the form in which BuildKit's provenance tells it with `mode=max`
 * (solver/llbsolver/provenance, BuildStep): operations by what they are made of, in the order in which each has its inputs
 * before it. Only what is known here is said: there is no LLB behind it.
 */
import { redactCredentials } from "../base/redact-url.ts";
import type { Descriptor, Platform } from "../oci/image-spec.ts";
import type { Instruction, RunMount, SourceRange } from "./dockerfile/ast.ts";
import { commandWords } from "./image-config.ts";
import type { StageState } from "./session-parts.ts";

/** Something that steps stand on: a step, or a source. */
export interface GraphNode {
  readonly operation: Readonly<Record<string, unknown>>;
  readonly platform: Platform | undefined;
  readonly inputs: readonly GraphNode[];
  /** As progress calls it. */
  readonly vertex: string | undefined;
  readonly range: SourceRange | undefined;
  readonly layers: readonly Descriptor[];
}

/** An image, directory, file or repository that files come from. */
export function sourceNode(
  identifier: string,
  more: Partial<Pick<GraphNode, "platform" | "vertex" | "range" | "layers">> = {},
): GraphNode {
  const operation = { source: { identifier: redactCredentials(identifier) } };
  return {
    operation,
    platform: undefined,
    inputs: [],
    vertex: undefined,
    range: undefined,
    layers: [],
    ...more,
  };
}

/** BuildKit's numbers for the kinds of mounts (solver/pb/ops.proto, MountType). */
const mountTypes: Readonly<Record<RunMount["type"], number>> = {
  bind: 0,
  secret: 1,
  ssh: 2,
  cache: 3,
  tmpfs: 4,
};

/** What an instruction did; `inputs` are what it stood on, then what it took files from. */
export function operationOf(instruction: Instruction, state: StageState): GraphNode["operation"] {
  const { config, scope } = state;
  switch (instruction.kind) {
    case "run":
      return {
        exec: {
          meta: {
            args: commandWords(instruction.command, config),
            env: [...scope.variables].map(([key, value]) => `${key}=${value}`),
            cwd: config.WorkingDir || "/",
            ...(config.User ? { user: config.User } : {}),
          },
          mounts: [
            { dest: "/" },
            ...instruction.mounts.map(({ type, target }) => ({
              ...(target === undefined ? {} : { dest: target }),
              ...(mountTypes[type] === 0 ? {} : { mountType: mountTypes[type] }),
            })),
          ],
        },
      };
    case "workdir":
      return { file: { actions: [{ Action: { mkdir: { path: config.WorkingDir, makeParents: true } } }] } };
    case "copy":
    case "add":
      return {
        file: {
          actions: [
            ...instruction.sources.map((source) => ({
              Action: { copy: { src: redactCredentials(source), dest: instruction.destination } },
            })),
            ...instruction.heredocs.map(({ name }) => ({
              Action: { mkfile: { path: placeOf(instruction.destination, name) } },
            })),
          ],
        },
      };
    default:
      return {};
  }
}

const placeOf = (destination: string, name: string): string =>
  destination.endsWith("/") ? destination + name : destination;

export interface ToldGraph {
  readonly buildConfig: {
    readonly llbDefinition: readonly unknown[];
    readonly digestMapping: Readonly<Record<string, string>>;
  };
  readonly locations: Readonly<Record<string, unknown>>;
  readonly layers: Readonly<Record<string, readonly (readonly Descriptor[])[]>>;
}

/** The nodes that a result stands on, as they are told. */
export function tellGraph(last: GraphNode): ToldGraph {
  const numbers = new Map<GraphNode, number>();
  const visit = (node: GraphNode): void => {
    if (numbers.has(node)) return;
    for (const input of node.inputs) visit(input);
    numbers.set(node, numbers.size);
  };
  visit(last);
  const idOf = (node: GraphNode): string => `step${numbers.get(node)}`;
  const nodes = [...numbers.keys()];
  return {
    buildConfig: {
      llbDefinition: nodes.map((node) => ({
        id: idOf(node),
        op: {
          Op: node.operation,
          ...(node.platform === undefined ? {} : { platform: shownPlatform(node.platform) }),
        },
        ...(node.inputs.length === 0 ? {} : { inputs: node.inputs.map((input) => `${idOf(input)}:0`) }),
      })),
      digestMapping: Object.fromEntries(
        nodes.flatMap((node) => (node.vertex === undefined ? [] : [[node.vertex, idOf(node)]])),
      ),
    },
    locations: Object.fromEntries(
      nodes.flatMap((node) =>
        node.range === undefined ? [] : [[idOf(node), { locations: [{ ranges: [node.range] }] }]],
      ),
    ),
    layers: Object.fromEntries(
      nodes.flatMap((node) => (node.layers.length === 0 ? [] : [[`${idOf(node)}:0`, [node.layers]]])),
    ),
  };
}

const shownPlatform = ({ architecture, os, variant }: Platform): Record<string, string> => ({
  Architecture: architecture,
  OS: os,
  ...(variant === undefined ? {} : { Variant: variant }),
});
