/**
 * A compose application as an artifact in a registry, as Docker Compose lays it out: a manifest whose layers are the files.
 * In the form of OCI 1.1 its `artifactType` says what it is; in that of 1.0 the media type of its configuration does.
 */
import { ComposeError } from "./errors.ts";

export const artifactTypes = {
  project: "application/vnd.docker.compose.project",
  file: "application/vnd.docker.compose.file+yaml",
  envFile: "application/vnd.docker.compose.envfile",
  config: "application/vnd.docker.compose.config.empty.v1+json",
  empty: "application/vnd.oci.empty.v1+json",
} as const;

const manifestType = "application/vnd.oci.image.manifest.v1+json";

/** What a configuration holds that says nothing. */
export const emptyJson = "{}";

/** Names of what a layer is, among its annotations. */
const named = {
  file: "com.docker.compose.file",
  version: "com.docker.compose.version",
  envFile: "com.docker.compose.envfile",
  extended: "com.docker.compose.extends",
} as const;

export type OciVersion = "1.0" | "1.1";

/** A file with what its content is known by. */
export interface StoredFile {
  /** Without directories. */
  readonly name: string;
  readonly digest: string;
  readonly sizeBytes: number;
}

/** The manifest's text; `created` is a time of RFC 3339. */
export function artifactManifest(
  files: readonly StoredFile[],
  emptyDigest: string,
  {
    version,
    created,
    composeVersion,
  }: { readonly version: OciVersion; readonly created: string; readonly composeVersion: string },
): string {
  const config = (mediaType: string): Layer => ({
    mediaType,
    digest: emptyDigest,
    size: emptyJson.length,
  });
  const isNew = version === "1.1";
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: manifestType,
    ...(isNew ? { artifactType: artifactTypes.project } : {}),
    config: isNew
      ? { ...config(artifactTypes.empty), data: Buffer.from(emptyJson).toString("base64") }
      : config(artifactTypes.config),
    layers: files.map(({ name, digest, sizeBytes }) => ({
      mediaType: artifactTypes.file,
      digest,
      size: sizeBytes,
      annotations: { [named.file]: name, [named.version]: composeVersion },
    })),
    annotations: { "org.opencontainers.image.created": created },
  });
}

interface Layer {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Where the content of a layer goes. */
export interface ArtifactPart {
  /** A name in one directory. */
  readonly file: string;
  readonly digest: string;
}

/** The file that `oci://…` stands for, in the directory of an artifact's files. */
export const mainFile = "compose.yaml";

/**
 * What the manifest's layers are, in their order: parts of one file are its documents. Throws {@link ComposeError} for what
 * is no compose application, or names a file elsewhere.
 */
export function artifactParts(manifest: string, reference: string): ArtifactPart[] {
  const { artifactType, config, layers } = JSON.parse(manifest) as {
    artifactType?: string;
    config?: Layer;
    layers?: readonly Layer[];
  };
  const type = artifactType || config?.mediaType || "";
  if (type !== artifactTypes.project && type !== artifactTypes.config)
    throw new ComposeError(`${reference} is not a compose project OCI artifact, but ${type || "an image"}`);
  return (layers ?? []).flatMap(({ mediaType, digest, annotations = {} }) => {
    const file = partName(mediaType, annotations);
    if (file === undefined) return [];
    if (file === "" || file === "." || file === ".." || /[/\\\0]/.test(file))
      throw new ComposeError(`${reference} names a file outside of itself: ${JSON.stringify(file)}`);
    return [{ file, digest }];
  });
}

function partName(mediaType: string, annotations: Readonly<Record<string, string>>): string | undefined {
  if (mediaType === artifactTypes.envFile) return annotations[named.envFile] ?? "";
  if (mediaType !== artifactTypes.file) return undefined;
  return Object.hasOwn(annotations, named.extended) ? (annotations[named.file] ?? "") : mainFile;
}

/** The manifest of a compose application in an index; undefined where none is. */
export function artifactInIndex(index: string): string | undefined {
  const { manifests = [] } = JSON.parse(index) as {
    manifests?: readonly { readonly digest: string; readonly artifactType?: string }[];
  };
  return manifests.find(({ artifactType }) => artifactType === artifactTypes.project)?.digest;
}
