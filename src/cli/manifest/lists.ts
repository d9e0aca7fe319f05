/** Manifest lists that are being put together: one file each in the client's own directory, until they are pushed. */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../../base/atomic-file.ts";
import type { Descriptor } from "../../oci/image-spec.ts";
import { formatReference, parseReference, type Reference, withDefaultTag } from "../../oci/reference.ts";
import type { CommandContext } from "../command.ts";
import { CliError } from "../errors.ts";

/** One image of a list, as its registry has it. */
export interface ListEntry {
  /** Where it was found: normalised. */
  readonly reference: string;
  /** With the platform. */
  readonly descriptor: Descriptor;
  /** Configuration and layers. */
  readonly blobs: readonly string[];
}

export interface ManifestList {
  readonly reference: string;
  readonly entries: readonly ListEntry[];
}

/** The name of a list or of an image, with its tag. */
export function listReference(text: string): Reference {
  return withDefaultTag(parseReference(text));
}

function pathOf(context: CommandContext, reference: Reference): string {
  const name = formatReference(reference).replace(/[^a-zA-Z0-9._-]/g, (char) => (char === "/" ? "_" : "-"));
  return join(context.configDirectory, "manifest-lists", `${name}.json`);
}

/** Undefined when there is none. */
export function readList(context: CommandContext, reference: Reference): ManifestList | undefined {
  try {
    return JSON.parse(readFileSync(pathOf(context, reference), "utf8")) as ManifestList;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Throws `CliError`, in Docker's words. */
export function needList(context: CommandContext, reference: Reference): ManifestList {
  const list = readList(context, reference);
  if (list === undefined) throw new CliError(`No such manifest: ${formatReference(reference)}`);
  return list;
}

export function writeList(context: CommandContext, list: ManifestList): void {
  const path = pathOf(context, parseReference(list.reference));
  mkdirSync(join(context.configDirectory, "manifest-lists"), { recursive: true, mode: 0o700 });
  writeFileAtomic(path, `${JSON.stringify(list, undefined, "\t")}\n`, 0o600);
}

export function removeList(context: CommandContext, reference: Reference): void {
  rmSync(pathOf(context, reference), { force: true });
}

/** The list as it is pushed: Docker's format, or OCI's when all its images are OCI's. */
export function listDocument(list: ManifestList): { mediaType: string; bytes: Buffer } {
  const isOci = list.entries.every(({ descriptor }) => descriptor.mediaType.includes(".oci."));
  const mediaType = isOci
    ? "application/vnd.oci.image.index.v1+json"
    : "application/vnd.docker.distribution.manifest.list.v2+json";
  const manifests = list.entries.map(({ descriptor }) => descriptor);
  const document = { schemaVersion: 2, mediaType, manifests };
  return { mediaType, bytes: Buffer.from(JSON.stringify(document, undefined, 3)) };
}
