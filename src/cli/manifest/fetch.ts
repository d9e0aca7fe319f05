/** What a registry has under a name, read as far as the `manifest` commands need it. */
import { isKind } from "../../base/errors.ts";
import type { Descriptor, ImageConfigFile, ImageIndex, ImageManifest } from "../../oci/image-spec.ts";
import { familiarReference, formatReference, type Reference } from "../../oci/reference.ts";
import type { CommandContext } from "../command.ts";
import { findCredentials, serverKey } from "../credentials.ts";
import { CliError } from "../errors.ts";
import type { ManifestRegistry, RawManifest, RegistryAccess } from "./access.ts";
import type { ListEntry } from "./lists.ts";

/** Who asks, and how far the registry is trusted. */
export async function accessFor(
  context: CommandContext,
  reference: Reference,
  isInsecure: boolean,
): Promise<RegistryAccess> {
  return { credentials: (await findCredentials(context, serverKey(reference.domain))) ?? {}, isInsecure };
}

const isIndex = ({ mediaType }: Pick<RawManifest, "mediaType">): boolean =>
  /image\.index|manifest\.list/.test(mediaType);

/** What the registry has under the name. Throws `CliError` when there is nothing. */
export async function fetchManifest(
  registry: ManifestRegistry,
  reference: Reference,
  access: RegistryAccess,
): Promise<RawManifest> {
  try {
    return await registry.fetch(reference, access);
  } catch (error) {
    if (!isKind(error, "notFound")) throw error;
    throw new CliError(`no such manifest: ${familiarReference(reference)}`, 1, { cause: error });
  }
}

/** An image of one platform as an entry of a list. Throws `CliError` for an index. */
export async function fetchEntry(
  registry: ManifestRegistry,
  reference: Reference,
  access: RegistryAccess,
): Promise<ListEntry> {
  const raw = await fetchManifest(registry, reference, access);
  if (isIndex(raw)) throw new CliError(`${formatReference(reference)} is a manifest list`);
  return await entryOf(registry, reference, raw, access);
}

async function entryOf(
  registry: ManifestRegistry,
  reference: Reference,
  raw: RawManifest,
  access: RegistryAccess,
): Promise<ListEntry> {
  const manifest = JSON.parse(raw.bytes.toString("utf8")) as ImageManifest;
  const config = JSON.parse(
    (await registry.readBlob(reference, manifest.config.digest, access)).toString("utf8"),
  ) as ImageConfigFile;
  const { architecture, os, variant } = config;
  const descriptor: Descriptor = {
    mediaType: raw.mediaType,
    digest: raw.digest,
    size: raw.bytes.length,
    platform: { architecture, os, ...(variant === undefined || variant === "" ? {} : { variant }) },
  };
  const blobs = [manifest.config, ...manifest.layers].filter(({ urls }) => (urls ?? []).length === 0);
  return { reference: formatReference(reference), descriptor, blobs: blobs.map(({ digest }) => digest) };
}

/** What `manifest inspect -v` shows of one image. */
export interface VerboseManifest {
  readonly Ref: string;
  readonly Descriptor: Descriptor;
  readonly SchemaV2Manifest?: unknown;
  readonly OCIManifest?: unknown;
}

/** An image, or all images of an index, with their descriptors. */
export async function fetchVerbose(
  registry: ManifestRegistry,
  reference: Reference,
  access: RegistryAccess,
): Promise<VerboseManifest | VerboseManifest[]> {
  const raw = await fetchManifest(registry, reference, access);
  if (!isIndex(raw)) return await verbose(registry, reference, raw, access);
  const { manifests } = JSON.parse(raw.bytes.toString("utf8")) as ImageIndex;
  const found: VerboseManifest[] = [];
  for (const { digest, platform } of manifests) {
    const { domain, path } = reference;
    const one = { domain, path, digest };
    const shown = await verbose(registry, one, await registry.fetch(one, access), access);
    found.push(platform === undefined ? shown : { ...shown, Descriptor: { ...shown.Descriptor, platform } });
  }
  return found;
}

async function verbose(
  registry: ManifestRegistry,
  reference: Reference,
  raw: RawManifest,
  access: RegistryAccess,
): Promise<VerboseManifest> {
  const document: unknown = JSON.parse(raw.bytes.toString("utf8"));
  const { descriptor } = await entryOf(registry, reference, raw, access);
  const named = { Ref: formatReference(reference), Descriptor: descriptor };
  return raw.mediaType.includes(".oci.")
    ? { ...named, OCIManifest: document }
    : { ...named, SchemaV2Manifest: document };
}
