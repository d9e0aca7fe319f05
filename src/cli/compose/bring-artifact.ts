/** Files of an application that is published in a registry, in a directory here. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { errorText, isKind } from "../../base/errors.ts";
import { artifactInIndex, artifactParts, mainFile } from "../../compose/artifact.ts";
import { ComposeError } from "../../compose/errors.ts";
import { remotePrefix } from "../../compose/file/remote.ts";
import { formatReference, tryParseReference, withDefaultTag, type Reference } from "../../oci/reference.ts";
import type { CommandContext } from "../command.ts";
import type { ManifestRegistry, RawManifest, RegistryAccess } from "../manifest/access.ts";
import { accessFor } from "../manifest/fetch.ts";

const variable = "COMPOSE_EXPERIMENTAL_OCI_REMOTE";

/**
 * The main file of an application in a registry (`oci://REPOSITORY`). Its directory is the one that Docker Compose keeps it
 * in, so that relative paths are the same to both. Throws {@link ComposeError}.
 */
export async function bringArtifact(context: CommandContext, path: string): Promise<string> {
  if (["0", "f", "false"].includes((context.env[variable] ?? "").toLowerCase()))
    throw new ComposeError(`${path}: OCI remote resource is disabled by ${JSON.stringify(variable)}`);
  const text = path.slice(remotePrefix.length);
  const parsed = tryParseReference(text);
  if (parsed === undefined) throw new ComposeError(`invalid reference format: ${text}`);
  const reference = withDefaultTag(parsed);
  const registry = await context.manifestRegistry();
  const access = await accessFor(context, reference, false);
  const manifest = await fetchArtifact(registry, reference, access);
  const cache = join(context.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "docker-compose");
  const directory = join(cache, manifest.digest.replace(/^.*:/, ""));
  const main = join(directory, mainFile);
  const parts = artifactParts(manifest.bytes.toString("utf8"), formatReference(reference));
  const files = new Map<string, Buffer>();
  for (const { file, digest } of parts) {
    const bytes = await registry.readBlob(reference, digest, access);
    const before = files.get(file);
    files.set(file, before === undefined ? bytes : Buffer.concat([before, Buffer.from("\n---\n"), bytes]));
  }
  if (!files.has(mainFile)) throw new ComposeError(`${path} has no compose file`);
  keep(directory, files);
  return main;
}

async function fetchArtifact(
  registry: ManifestRegistry,
  reference: Reference,
  access: RegistryAccess,
): Promise<RawManifest> {
  const name = formatReference(reference);
  try {
    const raw = await registry.fetch(reference, access);
    if (!/image\.index|manifest\.list/.test(raw.mediaType)) return raw;
    const digest = artifactInIndex(raw.bytes.toString("utf8"));
    if (digest === undefined) throw new ComposeError(`OCI index ${name} doesn't refer to compose artifacts`);
    const { domain, path } = reference;
    return await registry.fetch({ domain, path, digest }, access);
  } catch (error) {
    if (error instanceof ComposeError) throw error;
    const why = isKind(error, "notFound") ? "not found" : errorText(error);
    throw new ComposeError(`failed to pull OCI resource ${JSON.stringify(name)}: ${why}`, { cause: error });
  }
}

/** What is there may be half of it: Docker Compose leaves files of what it could not fetch. */
function keep(directory: string, files: ReadonlyMap<string, Buffer>): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  for (const [name, bytes] of files) {
    const file = join(directory, name);
    if (existsSync(file) && readFileSync(file).equals(bytes)) continue;
    const work = join(directory, `.${process.pid}-${name}`);
    try {
      writeFileSync(work, bytes, { mode: 0o600 });
      renameSync(work, file);
    } finally {
      rmSync(work, { force: true });
    }
  }
}
