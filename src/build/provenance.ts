/** Where an image comes from, in SLSA's words (slsa.dev/provenance/v0.2), as BuildKit attests it. */
import { redactCredentials } from "../base/redact-url.ts";
import { formatPlatform, hostPlatform } from "../oci/platform.ts";
import type { Platform } from "../oci/image-spec.ts";
import type { BaseImage } from "./base-images.ts";
import { type ToldGraph, tellGraph } from "./build-graph.ts";
import { tryPurl } from "./package-url.ts";
import { shownAttributes } from "./shown-attributes.ts";
import type { SessionParts, StageState } from "./session-parts.ts";

/** The kind of statement that it is. */
export const provenancePredicate = "https://slsa.dev/provenance/v0.2";

/** A file or repository that a build has fetched. */
export interface FetchedSource {
  /** Without names and passwords. */
  readonly uri: string;
  readonly digest: { readonly sha1: string } | { readonly sha256: string };
}

/** What a build has fetched, each address once. */
export class FetchedSources {
  readonly #sources = new Map<string, FetchedSource>();

  add(address: string, digest: FetchedSource["digest"]): void {
    const uri = redactCredentials(address);
    this.#sources.set(uri, { uri, digest });
  }

  find(address: string): FetchedSource | undefined {
    return this.#sources.get(redactCredentials(address));
  }

  /** Repositories, then files, in the order of their addresses. */
  get all(): readonly FetchedSource[] {
    const rank = ({ digest }: FetchedSource): number => ("sha1" in digest ? 0 : 1);
    return [...this.#sources.values()].sort(
      (a, b) => rank(a) - rank(b) || (a.uri < b.uri ? -1 : a.uri > b.uri ? 1 : 0),
    );
  }
}

interface Asked {
  readonly args: Record<string, string>;
  readonly configSource: Record<string, unknown>;
  readonly vcs: Record<string, string>;
}

/** What the client has said, as it is told: where the Dockerfile is, what of its repository, and all else. */
function askedOf({ request, fetched }: Pick<SessionParts, "request" | "fetched">): Asked {
  const attributes = shownAttributes(Object.entries(request.frontendAttributes ?? {}));
  const contextKey = attributes.get("contextkey") || "context";
  const args: Record<string, string> = {};
  const vcs: Record<string, string> = {};
  for (const [key, value] of attributes) {
    if (key === contextKey || key === "filename") continue;
    if (!key.startsWith("vcs:")) args[key] = value;
    else if (value !== "") vcs[key.slice("vcs:".length)] = value;
  }
  const context = attributes.get(contextKey) ?? "";
  const entryPoint = attributes.get("filename") ?? "";
  const source = context === "" ? undefined : (fetched.find(context) ?? { uri: context });
  return { args, vcs, configSource: { ...source, ...(entryPoint === "" ? {} : { entryPoint }) } };
}

function materialsOf(images: readonly BaseImage[], platform: Platform): Record<string, unknown>[] {
  const found = images.flatMap(({ name, digest }) => {
    const uri = tryPurl(name.replace(/@.*$/, ""), platform);
    const hex = digest?.split(":")[1];
    return uri === undefined ? [] : [{ uri, ...(hex === undefined ? {} : { digest: { sha256: hex } }) }];
  });
  return found.sort((a, b) => (a.uri < b.uri ? -1 : a.uri > b.uri ? 1 : 0));
}

interface Hidden {
  readonly id: string;
  readonly optional?: true;
}

/** Secrets and agents that steps ask for, each once. */
function hiddenOf({ plan }: Pick<SessionParts, "plan">): { secrets?: Hidden[]; ssh?: Hidden[] } {
  const found = { secret: new Map<string, Hidden>(), ssh: new Map<string, Hidden>() };
  for (const { instructions } of plan.stages)
    for (const instruction of instructions) {
      if (instruction.kind !== "run") continue;
      for (const { type, id, target, required } of instruction.mounts) {
        if (type !== "secret" && type !== "ssh") continue;
        const name = id ?? (type === "ssh" ? "default" : (target?.split("/").at(-1) ?? ""));
        found[type].set(name, { id: name, ...(required ? {} : { optional: true }) });
      }
    }
  const { secret, ssh } = found;
  return {
    ...(secret.size === 0 ? {} : { secrets: [...secret.values()] }),
    ...(ssh.size === 0 ? {} : { ssh: [...ssh.values()] }),
  };
}

/** What `mode=max` tells of the Dockerfile and the layers. */
function detailsOf(
  { dockerfile }: Pick<SessionParts, "dockerfile">,
  graph: ToldGraph | undefined,
): Record<string, unknown> {
  const data = Buffer.from(dockerfile.source.text).toString("base64");
  const infos = [{ filename: dockerfile.source.name, language: "Dockerfile", data }];
  if (graph === undefined) return { source: { infos } };
  const { locations, layers } = graph;
  return {
    source: { locations, infos },
    ...(Object.keys(layers).length === 0 ? {} : { layers }),
  };
}

const isTrue = (value: string | undefined): boolean => /^(1|t|T|true|TRUE|True)$/.test(value ?? "");

/** `mode=min` leaves out build arguments, labels, secrets' names and the Dockerfile, as BuildKit's does. */
export async function provenanceOf(
  parts: Omit<SessionParts, "platform">,
  { platform, state }: { readonly platform: Platform; readonly state: StageState },
): Promise<Record<string, unknown>> {
  const { request, images, fetched, plan } = parts;
  const { mode, attributes = {} } = request.provenance ?? { mode: "max" as const };
  const { args: all, configSource, vcs } = askedOf(parts);
  const isMax = mode === "max";
  const graph = isMax && state.node !== undefined ? tellGraph(state.node) : undefined;
  const kept = Object.entries(all).filter(([key]) => isMax || !/^(build-arg|label):/.test(key));
  const locals = [request.context, request.dockerfile?.source].flatMap((source) =>
    source?.kind === "remote" ? [{ name: source.name }] : [],
  );
  const isComplete = locals.length === 0 && request.context.kind !== "tar";
  const hasNetwork = plan.stages.some(({ instructions }) =>
    instructions.some((instruction) => instruction.kind === "run" && instruction.network !== "none"),
  );
  return {
    builder: { id: attributes["builder-id"] ?? "" },
    buildType: "https://mobyproject.org/buildkit@v1",
    materials: [...materialsOf(await images.used(), platform), ...fetched.all],
    invocation: {
      configSource,
      parameters: {
        frontend: "dockerfile.v0",
        ...(kept.length === 0 ? {} : { args: Object.fromEntries(kept) }),
        ...(isMax ? hiddenOf(parts) : {}),
        ...(locals.length === 0 ? {} : { locals }),
      },
      environment: { platform: formatPlatform(hostPlatform()) },
    },
    ...(graph === undefined ? {} : { buildConfig: graph.buildConfig }),
    metadata: {
      buildInvocationID: request.id,
      buildStartedOn: parts.startedAt,
      buildFinishedOn: new Date().toISOString(),
      completeness: {
        parameters: kept.length === Object.keys(all).length,
        environment: true,
        materials: isComplete,
      },
      reproducible: isTrue(attributes["reproducible"]),
      "https://mobyproject.org/buildkit@v1#metadata": {
        ...(Object.keys(vcs).length === 0 ? {} : { vcs }),
        ...(isMax ? detailsOf(parts, graph) : {}),
      },
      ...(isComplete && !hasNetwork ? { "https://mobyproject.org/buildkit@v1#hermetic": true } : {}),
    },
  };
}
