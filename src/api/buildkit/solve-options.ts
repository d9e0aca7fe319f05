/** From what a client says to BuildKit (frontend attributes, exporters, cache options) to a build's request. */
import { EngineError, invalidArgument } from "../../base/errors.ts";
import { redactCredentials } from "../../base/redact-url.ts";
import type {
  BuildExport,
  BuildLimits,
  BuildRequest,
  CacheAddress,
  ClientStore,
  ContextSource,
} from "../../build/build.ts";
import { checkFrontend } from "../../build/dockerfile/parse.ts";
import { parseBoolean } from "../../build/dockerfile/values.ts";
import { isDigest } from "../../oci/digest.ts";
import { parsePlatform } from "../../oci/platform.ts";
import { attributesOf } from "../../wire/buildkit/common.ts";
import type { GraphSource } from "../../wire/buildkit/graph.ts";
import type { ClientSession } from "./client-session.ts";
import { sessionCredentials } from "./session-credentials.ts";
import { openOutput, remoteDirectory, sendListing } from "./session-files.ts";
import { sessionSecrets, sessionSsh, sessionUpload } from "./session-services.ts";
import { sessionStore } from "./session-stores.ts";

export type Attributes = ReadonlyMap<string, string>;

export interface Exporter {
  readonly Type: string;
  readonly Attrs: Attributes;
}

export interface SolveInput {
  readonly ref: string;
  readonly session: ClientSession;
  readonly attributes: Attributes;
  readonly exporters: readonly Exporter[];
  readonly cacheFrom: readonly { readonly Type: string; readonly Attrs: Attributes }[];
  readonly cacheTo: readonly { readonly Type: string; readonly Attrs: Attributes }[];
  readonly entitlements: readonly string[];
  /** Contexts that the client gives as graphs, by their names. */
  readonly inputs?: ReadonlyMap<string, ContextSource>;
  readonly signal: AbortSignal;
  readonly onEvent: BuildRequest["onEvent"];
}

const uploadPrefix = /^https?:\/\/buildkit-session\//;

/** Throws `invalidArgument` and `notImplemented`. */
export function buildRequest(input: SolveInput): BuildRequest {
  const { attributes, session } = input;
  const syntax = attributes.get("build-arg:BUILDKIT_SYNTAX");
  if (syntax !== undefined && syntax !== "") asInvalid(() => checkFrontend(syntax));
  const sbom = sbomOf(attributes.get("attest:sbom"));
  const provenance = provenanceOf(attributes.get("attest:provenance"));
  const filename = attributes.get("filename");
  const named = namedContexts(input);
  return {
    id: input.ref,
    signal: input.signal,
    onEvent: input.onEvent,
    context:
      input.inputs?.get("context") ??
      contextSource(attributes.get("context") ?? "", attributes.get("contextkey") ?? "context", input),
    dockerfile: {
      ...(filename === undefined ? {} : { name: filename }),
      ...dockerfileSource(input),
    },
    buildArgs: prefixed(attributes, "build-arg:"),
    labels: prefixed(attributes, "label:"),
    namedContexts: named,
    platforms: list(attributes.get("platform")).map(parsePlatform),
    ...noCacheOf(attributes),
    pull: attributes.get("image-resolve-mode") === "pull",
    ...optional("target", attributes.get("target")),
    ...optional("networkMode", attributes.get("force-network-mode")),
    ...optional("hostname", attributes.get("hostname")),
    extraHosts: list(attributes.get("add-hosts")).map((entry) => entry.replace("=", ":")),
    limits: limitsOf(attributes),
    entitlements: input.entitlements,
    secrets: sessionSecrets(session),
    ssh: sessionSsh(session),
    credentials: sessionCredentials(session),
    cacheStore: (directory) => sessionStore(session, `local:${directory}`),
    cacheFrom: [...input.cacheFrom.map(cacheAddress), ...oldCacheFrom(attributes)],
    cacheTo: input.cacheTo.map(cacheAddress),
    exports: input.exporters.map((exporter, index) => exportOf(exporter, index, input)),
    ...(provenance === undefined ? {} : { provenance }),
    ...(sbom === undefined ? {} : { sbom }),
    frontendAttributes: attributesOf(attributes),
  };
}

function asInvalid(check: () => void): void {
  try {
    check();
  } catch (error) {
    throw error instanceof EngineError ? error : invalidArgument((error as Error).message);
  }
}

function optional<Key extends string>(key: Key, value: string | undefined): { [K in Key]?: string } {
  return value === undefined || value === "" ? {} : ({ [key]: value } as { [K in Key]?: string });
}

function list(value: string | undefined): string[] {
  return (value ?? "").split(",").filter((entry) => entry !== "");
}

function prefixed(attributes: Attributes, prefix: string): Record<string, string> {
  return attributesOf(
    new Map(
      [...attributes]
        .filter(([key]) => key.startsWith(prefix))
        .map(([key, value]) => [key.slice(prefix.length), value]),
    ),
  );
}

function noCacheOf(attributes: Attributes): { noCache?: boolean; noCacheFilter?: string[] } {
  const value = attributes.get("no-cache");
  if (value === undefined) return {};
  return value === "" ? { noCache: true } : { noCacheFilter: list(value) };
}

/** `mode=max,inline-only=true` as key and value; a word alone has the value "". */
function fieldsOf(value: string): Map<string, string> {
  return new Map(
    list(value).map((field): [string, string] => {
      const at = field.indexOf("=");
      return at === -1 ? [field, ""] : [field.slice(0, at), field.slice(at + 1)];
    }),
  );
}

/** `inline-only=true` is what clients add by themselves; an attestation is made for those who ask. */
function provenanceOf(value: string | undefined): BuildRequest["provenance"] {
  if (value === undefined) return undefined;
  const fields = fieldsOf(value);
  if (fields.get("disabled") === "true" || fields.get("inline-only") === "true") return undefined;
  const mode = fields.get("mode") ?? "max";
  if (mode !== "min" && mode !== "max" && mode !== "full")
    throw invalidArgument(`invalid mode ${JSON.stringify(mode)}`);
  return { mode: mode === "min" ? mode : "max", attributes: attributesOf(fields) };
}

/** `generator=IMAGE`; whatever else is said is for the scanner. */
function sbomOf(value: string | undefined): BuildRequest["sbom"] {
  if (value === undefined || value === "false") return undefined;
  const fields = fieldsOf(value === "true" ? "" : value);
  const generator = fields.get("generator") ?? "";
  if (fields.get("disabled") === "true") return undefined;
  for (const key of ["generator", "disabled", "enabled"]) fields.delete(key);
  return { ...(generator === "" ? {} : { generator }), parameters: attributesOf(fields) };
}

function limitsOf(attributes: Attributes): BuildLimits {
  const number = (key: string): number | undefined => {
    const value = attributes.get(key);
    if (value === undefined || value === "") return undefined;
    if (!/^\d+$/.test(value)) throw invalidArgument(`invalid ${key}: ${JSON.stringify(value)}`);
    return Number(value);
  };
  const shmSizeBytes = number("shm-size");
  const ulimits = list(attributes.get("ulimit")).map((entry) => {
    const [, name = "", soft = "", hard = soft] = /^(\w+)=(-?\d+)(?::(-?\d+))?$/.exec(entry) ?? [];
    if (name === "") throw invalidArgument(`invalid ulimit: ${JSON.stringify(entry)}`);
    return { name, soft: Number(soft), hard: Number(hard) };
  });
  const cgroupParent = attributes.get("cgroup-parent");
  const memoryBytes = number("memory");
  const memorySwapBytes = number("memory-swap");
  const cpuShares = number("cpu-shares");
  const cpuPeriodUs = number("cpu-period");
  const cpuQuotaUs = number("cpu-quota");
  return {
    ...(shmSizeBytes === undefined ? {} : { shmSizeBytes }),
    ...(ulimits.length === 0 ? {} : { ulimits }),
    ...(cgroupParent === undefined ? {} : { cgroupParent }),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(memorySwapBytes === undefined ? {} : { memorySwapBytes }),
    ...(cpuShares === undefined ? {} : { cpuShares }),
    ...(cpuPeriodUs === undefined ? {} : { cpuPeriodUs }),
    ...(cpuQuotaUs === undefined ? {} : { cpuQuotaUs }),
    ...optional("cpusetCpus", attributes.get("cpuset-cpus")),
    ...optional("cpusetMems", attributes.get("cpuset-mems")),
  };
}

/** What a graph's source is here. Throws `invalidArgument` for an address of no known kind. */
export function graphContext(
  { identifier, attributes, isUnpacked }: GraphSource,
  session: ClientSession,
): ContextSource {
  if (identifier.startsWith("local://")) return remoteDirectory(session, identifier.slice("local://".length));
  if (identifier.startsWith("docker-image://"))
    return { kind: "image", reference: identifier.slice("docker-image://".length) };
  if (identifier.startsWith("git://")) {
    const url = attributes.get("git.fullurl");
    const [, fragment] = identifier.split("#");
    const address = url === undefined ? identifier : `${url}${fragment === undefined ? "" : `#${fragment}`}`;
    return { kind: "git", url: address, keepGitDirectory: attributes.get("git.keepgitdir") === "true" };
  }
  if (!/^https?:\/\//.test(identifier))
    throw invalidArgument(`unknown source ${JSON.stringify(redactCredentials(identifier))}`);
  const fileName = attributes.get("http.filename") || new URL(identifier).pathname.split("/").at(-1);
  return { kind: "http", url: identifier, ...(isUnpacked ? {} : { fileName: fileName || "download" }) };
}

/** A context as the client writes it: empty for a directory of its own, or an address. */
function contextSource(value: string, directory: string, { session, signal }: SolveInput): ContextSource {
  if (value === "") return remoteDirectory(session, directory);
  if (uploadPrefix.test(value))
    return { kind: "tar", stream: sessionUpload(session, new URL(value).pathname, signal) };
  if (value.startsWith("local:")) return remoteDirectory(session, value.slice("local:".length));
  if (value.startsWith("docker-image://"))
    return { kind: "image", reference: value.slice("docker-image://".length) };
  if (value.startsWith("oci-layout://")) return layoutSource(value.slice("oci-layout://".length), session);
  if (isGit(value)) return { kind: "git", url: value };
  if (/^https?:\/\//.test(value)) return { kind: "http", url: value };
  throw invalidArgument(`invalid build context ${JSON.stringify(redactCredentials(value))}`);
}

/** `store:tag@digest`: the client has looked the digest up. */
function layoutSource(value: string, session: ClientSession): ContextSource {
  const [, name = "", digest = ""] = /^([^:@]+)(?::[^@]*)?@(.+)$/.exec(value) ?? [];
  const store = sessionStore(session, `oci:${name}`);
  if (name === "" || !isDigest(digest))
    throw invalidArgument(`invalid build context: oci-layout://${value} names no digest`);
  if (store === undefined)
    throw invalidArgument("the client offers no OCI layouts, which a build context names");
  return { kind: "layout", store, digest, name: value };
}

function isGit(value: string): boolean {
  return (
    /^(git|ssh):\/\//.test(value) ||
    /^[\w.-]+@[\w.-]+:/.test(value) ||
    /^(github|gitlab|bitbucket)\.(com|org)\//.test(value) ||
    /^https?:\/\/[^#?]+\.git\/?([#?]|$)/.test(value)
  );
}

/** With a context elsewhere, the Dockerfile is in it, unless the client has a directory for it. */
function dockerfileSource(input: SolveInput): { source?: ContextSource } {
  const { attributes, session } = input;
  const key = attributes.get("dockerfilekey") ?? "dockerfile";
  const given = input.inputs?.get("dockerfile");
  if (given !== undefined) return { source: given };
  const isElsewhere = (attributes.get("context") ?? "") !== "";
  if (isElsewhere && !attributes.has("dockerfilekey")) return {};
  return { source: remoteDirectory(session, key) };
}

function namedContexts(input: SolveInput): Record<string, ContextSource> {
  const contexts = new Map<string, ContextSource>();
  for (const [key, value] of input.attributes) {
    if (!key.startsWith("context:")) continue;
    // A name may be given per platform (`name::linux/amd64`); the plain one counts for all others.
    const name = key.slice("context:".length);
    if (value.startsWith("input:")) {
      const given = input.inputs?.get(value.slice("input:".length));
      if (given === undefined)
        throw invalidArgument(`the client gives no input for the build context ${name}`);
      contexts.set(name.replace(/::.*$/, ""), given);
      continue;
    }
    contexts.set(name, contextSource(value, name, input));
  }
  return Object.assign(Object.create(null) as Record<string, ContextSource>, Object.fromEntries(contexts));
}

function cacheAddress(entry: { readonly Type: string; readonly Attrs: Attributes }): CacheAddress {
  return { type: entry.Type, attributes: attributesOf(entry.Attrs) };
}

/** Older clients put references of images to take cache from into an attribute. */
function oldCacheFrom(attributes: Attributes): CacheAddress[] {
  const imports = attributes.get("cache-imports");
  const references = list(attributes.get("cache-from")).map((ref): CacheAddress => {
    return { type: "registry", attributes: { ref } };
  });
  if (imports === undefined || imports === "") return references;
  let parsed: unknown;
  try {
    parsed = JSON.parse(imports);
  } catch (error) {
    throw invalidArgument("the attribute cache-imports is no JSON", { cause: error });
  }
  if (!Array.isArray(parsed)) throw invalidArgument("the attribute cache-imports is no list");
  const entries = parsed as { Type?: unknown; Attrs?: Record<string, string> }[];
  return [
    ...references,
    ...entries.map((entry) => ({ type: String(entry.Type), attributes: entry.Attrs ?? {} })),
  ];
}

/** `tar=false`: a directory of the client's. */
function layoutOutput({ Type, Attrs }: Exporter, session: ClientSession): { store?: ClientStore } {
  if (Type === "tar" || Attrs.get("tar") !== "false") return {};
  const store = sessionStore(session, "export");
  if (store === undefined)
    throw invalidArgument("the client takes no OCI layout: write an archive (tar=true)");
  return { store };
}

const isTrue = (value: string | undefined): boolean => value !== undefined && parseBoolean(value) === true;

/** What an exporter in BuildKit's words is. Throws `invalidArgument` for an unknown one. */
export function exportOf(
  exporter: Exporter,
  index: number,
  input: Pick<SolveInput, "session" | "signal">,
): BuildExport {
  const { session, signal } = input;
  const attributes = attributesOf(exporter.Attrs);
  const names = list(exporter.Attrs.get("name"));
  switch (exporter.Type) {
    case "moby":
    case "image":
      return {
        type: "image",
        names,
        // buildx leaves it to the builder (its driver's "direct push"); older ones push "moby" once more themselves,
        // and find everything there.
        push: isTrue(exporter.Attrs.get("push")),
        attributes,
      };
    case "local":
      return {
        type: "local",
        send: (listing, signal) => sendListing(session, index, listing, signal),
        attributes,
      };
    case "tar":
    case "oci":
    case "docker":
      return {
        type: exporter.Type,
        names,
        open: async () => openOutput(session, index, { metadata: new Map(), signal }),
        ...layoutOutput(exporter, session),
        attributes,
      };
    case "":
      return { type: "none" };
    default:
      throw invalidArgument(
        `exporter ${JSON.stringify(exporter.Type)} is not known: there are image, local, tar, oci and docker`,
      );
  }
}
