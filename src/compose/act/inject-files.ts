/** Configurations and secrets that are a text: files that are put into a container before it starts. */
import type { Client } from "../../client/client.ts";
import { ComposeError } from "../errors.ts";
import type { FileReference, Project } from "../model/project.ts";
import type { ContainerPlan } from "../request/create-request.ts";
import { targetOf } from "../request/mounts.ts";
import { tarOf } from "../tar.ts";

/** Throws {@link ComposeError} for a variable that is not set. */
export async function injectFiles(
  client: Client,
  { project, service }: Pick<ContainerPlan, "project" | "service">,
  id: string,
): Promise<void> {
  const files = [
    ...(service.secrets ?? []).map((reference) => injected(project, "secrets", reference)),
    ...(service.configs ?? []).map((reference) => injected(project, "configs", reference)),
  ].filter((file) => file !== undefined);
  for (const { path, content, reference } of files) {
    const hasOwner = reference.uid !== undefined || reference.gid !== undefined;
    const archive = tarOf([
      {
        path: path.replace(/^\//, ""),
        content: Buffer.from(content),
        mode: reference.mode ?? 0o444,
        uid: Number(reference.uid ?? 0),
        gid: Number(reference.gid ?? 0),
      },
    ]);
    await client.containerExtract(id, "/", archive, hasOwner ? { copyUidGid: true } : {});
  }
}

interface Injected {
  readonly path: string;
  readonly content: string;
  readonly reference: FileReference;
}

function injected(
  project: Project,
  kind: "secrets" | "configs",
  reference: FileReference,
): Injected | undefined {
  const object = project[kind][reference.source];
  if (object === undefined) return undefined;
  let content = object.content;
  if (object.environment !== undefined) {
    content = project.environment[object.environment];
    if (content === undefined) {
      throw new ComposeError(
        `environment variable "${object.environment}" required by file "${object.name}" is not set`,
      );
    }
  }
  if (content === undefined) return undefined;
  return { path: targetOf(reference, kind === "secrets" ? "/run/secrets/" : "/"), content, reference };
}
