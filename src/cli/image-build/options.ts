/** From the flags of `gantry build` to what the builder is asked, in BuildKit's words. */
import { statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { Readable } from "node:stream";
import { isatty } from "node:tty";
import {
  type OfferedDirectory,
  localDirectory,
  textDirectory,
} from "../../client/buildkit/local-directory.ts";
import type { LayoutStore } from "../../client/buildkit/layout-store.ts";
import { type SecretSource, type SessionOffer, sharedKeyOf } from "../../client/buildkit/session.ts";
import type { CacheEntry } from "../../client/buildkit/solve.ts";
import { parsePlatform, formatPlatform } from "../../oci/platform.ts";
import type { CommandContext } from "../command.ts";
import { findCredentials, serverKey } from "../credentials.ts";
import { CliError } from "../errors.ts";
import type { ParsedArguments } from "../parser.ts";
import { readAgents } from "./agents.ts";
import { csvPairs } from "./csv.ts";
import { layoutContext, readCache, type WrittenLayout } from "./layouts.ts";
import { readOutputs } from "./outputs.ts";

export interface BuildPlan {
  readonly offer: SessionOffer;
  readonly attributes: ReadonlyMap<string, string>;
  readonly exporters: readonly CacheEntry[];
  readonly cacheFrom: readonly CacheEntry[];
  readonly cacheTo: readonly CacheEntry[];
  readonly entitlements: readonly string[];
  /** Layouts that the build writes into, which get its result's name after it. */
  readonly layouts: readonly WrittenLayout[];
  /** Ends what was started for the build. */
  close(): Promise<void>;
}

const uploadName = "context";
const gzipMagic = [0x1f, 0x8b];
/** Where a tar has its magic word. */
const tarMagicAt = 257;

/** Reads the flags, and standard input when it is a context or a Dockerfile. Throws `CliError` and `EngineError`. */
export async function planBuild(context: CommandContext, parsed: ParsedArguments): Promise<BuildPlan> {
  const source = parsed.positional[0] ?? "";
  const attributes = new Map<string, string>();
  const directories = new Map<string, OfferedDirectory>();
  const uploads = new Map<string, Readable>();
  const sharedKey = await readContext({ context, parsed, source, attributes, directories, uploads });
  readBuildArgs(context, parsed, attributes);
  for (const entry of parsed.list("label")) {
    const [key, value] = splitOnce(entry, "=");
    attributes.set(`label:${key}`, value ?? "");
  }
  const stores = new Map<string, LayoutStore>();
  readNamedContexts(parsed, attributes, { directories, stores });
  readStepOptions(parsed, attributes);
  readAttestations(parsed, attributes);
  const { exporters, outputs, layouts: outputLayouts } = readOutputs(parsed, stores);
  const cache = readCache(parsed, stores);
  for (const annotation of parsed.list("annotation")) {
    const [key, value = ""] = splitOnce(annotation, "=");
    for (const exporter of exporters) Object.assign(exporter.attributes, { [`annotation.${key}`]: value });
  }
  const secrets = readSecrets(context, parsed);
  // Last: what it starts is ended by the plan alone.
  const started = await readAgents(context, parsed, { isSshContext: isSshAddress(source) });
  return {
    close: () => started.close(),
    layouts: [...outputLayouts, ...cache.layouts],
    offer: {
      directories,
      secrets,
      agents: started.agents,
      stores,
      credentials: (host) => findCredentials(context, serverKey(host)),
      outputs,
      uploads,
      ...(sharedKey === undefined ? {} : { sharedKey }),
    },
    attributes,
    exporters,
    cacheFrom: cache.from,
    cacheTo: cache.to,
    entitlements: [
      ...parsed.list("allow").flatMap((value) => value.split(",")),
      ...(parsed.string("network") === "host" ? ["network.host"] : []),
    ],
  };
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}

interface ContextReading {
  readonly context: CommandContext;
  readonly parsed: ParsedArguments;
  readonly source: string;
  readonly attributes: Map<string, string>;
  readonly directories: Map<string, OfferedDirectory>;
  readonly uploads: Map<string, Readable>;
}

const isSshAddress = (source: string): boolean =>
  source.startsWith("ssh://") || /^[\w.-]+@[\w.-]+:/.test(source);

const isAddress = (source: string): boolean =>
  /^(https?|git|ssh):\/\//.test(source) ||
  /^[\w.-]+@[\w.-]+:/.test(source) ||
  /^(github|gitlab|bitbucket)\.(com|org)\//.test(source);

/** Returns the name that the context directory is known by. */
async function readContext(reading: ContextReading): Promise<string | undefined> {
  const { context, parsed, source, attributes, directories } = reading;
  const file = parsed.string("file");
  if (source === "-" && file === "-")
    throw new CliError("invalid argument: can't use stdin for both build context and dockerfile");
  if (source === "-") {
    await readPiped(reading, file);
    return undefined;
  }
  if (isAddress(source)) {
    attributes.set("context", source);
    if (file === "-") {
      directories.set("dockerfile", textDirectory({ Dockerfile: await readAll(context) }));
      attributes.set("dockerfilekey", "dockerfile");
    } else if (file !== "") attributes.set("filename", file);
    return undefined;
  }
  const root = resolve(source);
  if (statSync(root, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new CliError(`unable to prepare context: path ${JSON.stringify(source)} not found`);
  directories.set("context", localDirectory(root));
  if (file === "-") {
    directories.set("dockerfile", textDirectory({ Dockerfile: await readAll(context) }));
  } else {
    const path = dockerfilePath(root, file);
    directories.set("dockerfile", localDirectory(dirname(path)));
    attributes.set("filename", basename(path));
  }
  return sharedKeyOf(root);
}

/** Beside the one who asks, as buildx has it; else in the context, as the classic builder has it. */
function dockerfilePath(root: string, file: string): string {
  if (file === "") return join(root, "Dockerfile");
  const path = resolve(file);
  const inContext = join(root, file);
  const isThere = (candidate: string): boolean =>
    statSync(candidate, { throwIfNoEntry: false })?.isFile() === true;
  return !isThere(path) && isThere(inContext) ? inContext : path;
}

/** A tar is the context; anything else is a Dockerfile that has none. */
async function readPiped(
  { context, attributes, directories, uploads }: ContextReading,
  file: string,
): Promise<void> {
  if (isatty(0)) throw new CliError("refusing to read a context from a terminal");
  const stream = context.stdin as AsyncIterable<Buffer>;
  const chunks: Buffer[] = [];
  let bytes = 0;
  const rest = stream[Symbol.asyncIterator]();
  while (bytes < 512) {
    const next = await rest.next();
    if (next.done === true) break;
    chunks.push(next.value);
    bytes += next.value.length;
  }
  const head = Buffer.concat(chunks);
  if (isArchive(head)) {
    async function* all(): AsyncGenerator<Buffer> {
      yield head;
      for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
    }
    uploads.set(uploadName, Readable.from(all(), { objectMode: false }));
    attributes.set("context", `http://buildkit-session/${uploadName}`);
    if (file !== "") attributes.set("filename", file);
    return;
  }
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) chunks.push(next.value);
  directories.set("context", textDirectory({}));
  directories.set("dockerfile", textDirectory({ Dockerfile: Buffer.concat(chunks) }));
}

/** A tar by its magic word, or something compressed: gzip, bzip2, xz, zstd. */
function isArchive(head: Buffer): boolean {
  const starts = (bytes: readonly number[]): boolean => bytes.every((byte, at) => head[at] === byte);
  return (
    head.toString("latin1", tarMagicAt, tarMagicAt + 5) === "ustar" ||
    [gzipMagic, [0x42, 0x5a, 0x68], [0xfd, 0x37, 0x7a, 0x58, 0x5a], [0x28, 0xb5, 0x2f, 0xfd]].some(starts)
  );
}

async function readAll(context: CommandContext): Promise<Buffer> {
  if (isatty(0)) throw new CliError("refusing to read a Dockerfile from a terminal");
  const chunks: Buffer[] = [];
  for await (const chunk of context.stdin as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const proxyVariables = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

function readBuildArgs(
  context: CommandContext,
  parsed: ParsedArguments,
  attributes: Map<string, string>,
): void {
  for (const entry of parsed.list("build-arg")) {
    const [key, given] = splitOnce(entry, "=");
    // Without a value it is the environment's, and not set at all when that has none.
    const value = given ?? context.env[key];
    if (value !== undefined) attributes.set(`build-arg:${key}`, value);
  }
  const { proxies } = context.config() as { proxies?: Record<string, Record<string, string>> };
  const settings = proxies?.[context.client.host] ?? proxies?.["default"] ?? {};
  for (const [key, value] of Object.entries(settings)) {
    const name = proxyVariables.find(
      (variable) => variable.replace("_", "").toLowerCase() === key.toLowerCase().replace("_", ""),
    );
    if (name === undefined) continue;
    for (const spelling of [name, name.toLowerCase()])
      if (!attributes.has(`build-arg:${spelling}`)) attributes.set(`build-arg:${spelling}`, value);
  }
}

function readNamedContexts(
  parsed: ParsedArguments,
  attributes: Map<string, string>,
  offered: {
    readonly directories: Map<string, OfferedDirectory>;
    readonly stores: Map<string, LayoutStore>;
  },
): void {
  for (const entry of parsed.list("build-context")) {
    const [name, value] = splitOnce(entry, "=");
    if (name === "" || value === undefined || value === "")
      throw new CliError(`invalid context ${JSON.stringify(entry)}: want NAME=SOURCE, as in base=./base`);
    if (isAddress(value) || value.startsWith("docker-image://")) {
      attributes.set(`context:${name}`, value);
      continue;
    }
    if (value.startsWith("oci-layout://")) {
      attributes.set(`context:${name}`, layoutContext(value, offered.stores));
      continue;
    }
    const root = resolve(value);
    if (statSync(root, { throwIfNoEntry: false })?.isDirectory() !== true)
      throw new CliError(`failed to get build context ${name}: ${value} is no directory`);
    const key = ["context", "dockerfile"].includes(name) ? `named-${name}` : name;
    offered.directories.set(key, localDirectory(root));
    attributes.set(`context:${name}`, `local:${key}`);
  }
  if ([...attributes.keys()].some((key) => key.startsWith("context:")))
    attributes.set("frontend.caps", "moby.buildkit.frontend.contexts+forward");
}

function readStepOptions(parsed: ParsedArguments, attributes: Map<string, string>): void {
  const set = (key: string, value: string): void => {
    if (value !== "") attributes.set(key, value);
  };
  set("target", parsed.string("target"));
  set(
    "platform",
    parsed
      .list("platform")
      .flatMap((value) => value.split(","))
      .filter(Boolean)
      .map((value) => formatPlatform(parsePlatform(value)))
      .join(","),
  );
  set("image-resolve-mode", parsed.bool("pull") ? "pull" : "local");
  if (parsed.bool("no-cache")) attributes.set("no-cache", "");
  else set("no-cache", parsed.list("no-cache-filter").join(","));
  const network = parsed.string("network");
  if (!["", "default", "none", "host"].includes(network))
    throw new CliError(
      `network mode ${JSON.stringify(network)} not supported: it must be default, none or host`,
    );
  if (network === "none" || network === "host") attributes.set("force-network-mode", network);
  set("add-hosts", parsed.list("add-host").map(hostEntry).join(","));
  set("cgroup-parent", parsed.string("cgroup-parent"));
  set("cpuset-cpus", parsed.string("cpuset-cpus"));
  set("cpuset-mems", parsed.string("cpuset-mems"));
  for (const [flag, key] of [
    ["shm-size", "shm-size"],
    ["memory", "memory"],
    ["memory-swap", "memory-swap"],
    ["cpu-shares", "cpu-shares"],
    ["cpu-period", "cpu-period"],
    ["cpu-quota", "cpu-quota"],
  ] as const)
    if (parsed.number(flag) !== 0) attributes.set(key, String(parsed.number(flag)));
  set("ulimit", parsed.list("ulimit").map(ulimitEntry).join(","));
}

function hostEntry(entry: string): string {
  const [, host = "", address = ""] = /^([^:=]+)[:=](.+)$/.exec(entry) ?? [];
  if (host === "")
    throw new CliError(`invalid host ${JSON.stringify(entry)}: want HOST:IP, as in db:10.0.0.5`);
  return `${host}=${address.replace(/^\[(.*)\]$/, "$1")}`;
}

function ulimitEntry(entry: string): string {
  const [, name = "", soft = "", hard = soft] = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(entry) ?? [];
  if (name === "") throw new CliError(`invalid ulimit argument: ${entry}`);
  if (Number(hard) !== -1 && Number(soft) > Number(hard))
    throw new CliError(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`);
  return `${name}=${soft}:${hard}`;
}

function readAttestations(parsed: ParsedArguments, attributes: Map<string, string>): void {
  const provenance = parsed.string("provenance");
  const sbom = parsed.string("sbom");
  for (const entry of parsed.list("attest")) {
    const type = csvPairs(entry).get("type") ?? "";
    if (type !== "provenance" && type !== "sbom")
      throw new CliError(`unknown attestation type ${JSON.stringify(type)}: there are provenance and sbom`);
    // As it is written: a scanner's parameters may have capitals.
    const others = entry.split(",").filter((field) => !/^\s*type=/i.test(field));
    attributes.set(`attest:${type}`, others.join(","));
  }
  if (provenance !== "" && !["false", "0"].includes(provenance))
    attributes.set("attest:provenance", ["true", "1"].includes(provenance) ? "mode=min" : provenance);
  if (["false", "0"].includes(sbom)) attributes.delete("attest:sbom");
  else if (sbom !== "") attributes.set("attest:sbom", ["true", "1"].includes(sbom) ? "" : sbom);
}

function readSecrets(context: CommandContext, parsed: ParsedArguments): Map<string, SecretSource> {
  const secrets = new Map<string, SecretSource>();
  for (const entry of parsed.list("secret")) {
    const pairs = csvPairs(entry);
    for (const key of pairs.keys())
      if (!["type", "id", "source", "src", "env"].includes(key))
        throw new CliError(`unexpected key '${key}' in '${entry}'`);
    const type = pairs.get("type") ?? "";
    if (!["", "file", "env"].includes(type))
      throw new CliError(`unsupported secret type ${JSON.stringify(type)}`);
    const file = pairs.get("src") ?? pairs.get("source") ?? "";
    const id = pairs.get("id") ?? basename(file);
    if (id === "") throw new CliError(`secret ${JSON.stringify(entry)} has no id`);
    const variable = pairs.get("env") ?? (type === "env" ? file || id : "");
    const isEnvironment = variable !== "" || (file === "" && type === "" && context.env[id] !== undefined);
    if (isEnvironment) {
      const value = context.env[variable || id];
      if (value === undefined)
        throw new CliError(`secret ${id}: environment variable ${variable || id} is not set`);
      secrets.set(id, { value });
      continue;
    }
    const path = resolve(file || id);
    if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true)
      throw new CliError(`failed to stat ${file || id}: no such file, for the secret ${id}`);
    secrets.set(id, { file: path });
  }
  return secrets;
}
