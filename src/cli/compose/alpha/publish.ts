/** Brings a project's files to a registry, as an artifact. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { isKind } from "../../../base/errors.ts";
import { pushServices } from "../../../compose/act/images.ts";
import { artifactManifest, emptyJson, type OciVersion, type StoredFile } from "../../../compose/artifact.ts";
import { ComposeError } from "../../../compose/errors.ts";
import { composeVersion } from "../../../compose/labels.ts";
import { projectText } from "../../../compose/model/output.ts";
import { emptyProject, namesOf, type Project, type Service } from "../../../compose/model/project.ts";
import { reportFailure } from "../../../compose/progress.ts";
import { digestOf } from "../../../oci/digest.ts";
import { tryParseReference, withDefaultTag, type Reference } from "../../../oci/reference.ts";
import { accessFor } from "../../manifest/fetch.ts";
import type { ComposeApp } from "../app.ts";
import { withDigests } from "../image-digests.ts";

export interface PublishOptions {
  /** Empty for what the registry takes. */
  readonly version: string;
  readonly withDigests: boolean;
}

/** Pushes the images that are built, then the files as they are. Returns the exit code. */
export async function publish(
  app: ComposeApp,
  repository: string,
  { version, withDigests: isPinned }: PublishOptions,
): Promise<number> {
  if (!["", "1.0", "1.1"].includes(version)) throw new ComposeError(`unsupported OCI version: ${version}`);
  const project = app.project([], { load: { resolveEnvironment: false } });
  const parsed = tryParseReference(repository);
  if (parsed === undefined) throw new ComposeError(`invalid reference format: ${repository}`);
  const reference = withDefaultTag(parsed);
  if (reference.digest !== undefined)
    throw new ComposeError(`cannot publish under a digest: ${repository}: give it a tag`);
  const names = namesOf(project.services);
  warnOfMissing(app, project);
  if (app.isDryRun) {
    app.context.print(project.files.map((file) => `File ${file}  publish to ${repository}\n`).join(""));
    return 0;
  }
  await app.during("Publishing", async (session) => {
    await pushServices(session, project, names, {});
    const files = project.files.map((file) => ({
      name: basename(file),
      bytes: file === "-" ? standardInput() : readFileSync(file),
    }));
    if (isPinned)
      files.push({ name: "image-digests.yaml", bytes: Buffer.from(await digestsFile(app, project)) });
    const what = (text: "publishing" | "published", kind: "working" | "done"): void =>
      session.report({ id: repository, what: text, kind, text: "" });
    what("publishing", "working");
    try {
      await send(app, reference, { files, version });
    } catch (error) {
      reportFailure(session.report, repository, error);
      throw error;
    }
    what("published", "done");
  });
  return 0;
}

const standardInput = (): never => {
  throw new ComposeError("what comes on standard input cannot be published: write it to a file");
};

/** The files are published as they are; what they name beside themselves stays here. */
function warnOfMissing(app: ComposeApp, { services }: Project): void {
  for (const name of namesOf(services)) {
    const { build, image = "", env_file: envFiles = [] } = services[name]!;
    if (build !== undefined && image === "")
      app.warn(`service "${name}" has no image: who uses what is published has nothing to build it from`);
    if (envFiles.length > 0) app.warn(`service "${name}": its env_file is not published`);
  }
}

/** A file on top of the others that names each service's image by its digest, those of all profiles. */
async function digestsFile(app: ComposeApp, project: Project): Promise<string> {
  const all = { ...project, services: { ...project.services, ...project.disabled } };
  const { services } = await withDigests(app, all);
  const images = namesOf(services).map((name): [string, Service] => {
    const { image } = services[name]!;
    return [name, image === undefined ? {} : { image }];
  });
  return projectText({ ...emptyProject(""), services: Object.fromEntries(images) }, "yaml");
}

interface Sent {
  readonly files: readonly { readonly name: string; readonly bytes: Buffer }[];
  readonly version: string;
}

async function send(app: ComposeApp, reference: Reference, { files, version }: Sent): Promise<void> {
  const { context } = app;
  const registry = await context.manifestRegistry();
  const access = await accessFor(context, reference, false);
  const empty = Buffer.from(emptyJson);
  const stored: StoredFile[] = [];
  for (const { name, bytes } of files) {
    await registry.putBlob(reference, bytes, access);
    stored.push({ name, digest: digestOf(bytes), sizeBytes: bytes.length });
  }
  await registry.putBlob(reference, empty, access);
  const put = async (form: OciVersion): Promise<void> => {
    const created = new Date().toISOString().replace(/\.\d+Z$/, "Z");
    const text = artifactManifest(stored, digestOf(empty), { version: form, created, composeVersion });
    const bytes = Buffer.from(text);
    const mediaType = "application/vnd.oci.image.manifest.v1+json";
    await registry.put(reference, reference.tag!, { bytes, digest: digestOf(bytes), mediaType }, access);
  };
  if (version !== "") return await put(version as OciVersion);
  try {
    await put("1.1");
  } catch (error) {
    // A registry that knows nothing of artifacts.
    if (!isKind(error, "invalidArgument") && !isKind(error, "notFound")) throw error;
    await put("1.0");
  }
}
