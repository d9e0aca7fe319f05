/** Images that services need: pulled, or built. */
import { errorText } from "../../base/errors.ts";
import type { ProgressMessage } from "../../wire/image.ts";
import { parseReference, repositoryName, withDefaultTag } from "../../oci/reference.ts";
import { settle } from "../dependency-order.ts";
import { defined } from "../request/resources.ts";
import type { Session } from "../engine.ts";
import type { Project, Service } from "../model/project.ts";
import type { Report } from "../progress.ts";

export interface PullOptions {
  /** Tells the beginning and the end only. */
  readonly quiet?: boolean;
}

/** Pulls the images of services, each image once. Services that can be built may fail: they are returned. */
export async function pullServices(
  session: Session,
  project: Project,
  names: readonly string[],
  options: PullOptions,
): Promise<string[]> {
  const unpulled: string[] = [];
  const byImage = Map.groupBy(names, (name) => project.services[name]!.image!);
  await settle(
    [...byImage].map(([image, [name = ""]]) =>
      session.limit(async () => {
        try {
          await pullImage(session, project, { name, image, service: project.services[name]! }, options);
        } catch (error) {
          const buildable = Object.entries(project.services).filter(
            ([, service]) => service.image === image && service.build !== undefined,
          );
          if (buildable.length === 0) throw error;
          unpulled.push(...buildable.map(([each]) => each));
        }
      }),
    ),
  );
  return unpulled;
}

interface Pull {
  readonly name: string;
  readonly image: string;
  readonly service: Service;
}

/** Pulls one image, telling of its layers. */
export async function pullImage(
  { client, report, registryAuth }: Session,
  project: Project,
  { name, image, service }: Pull,
  { quiet = false }: PullOptions,
): Promise<void> {
  const platform = service.platform ?? project.environment["DOCKER_DEFAULT_PLATFORM"];
  report({ id: name, kind: "working", text: "Pulling" });
  try {
    const reference = parseReference(image);
    const { tag, digest } = withDefaultTag(reference);
    const auth = await registryAuth(image);
    const messages = client.imagePull({
      image: repositoryName(reference),
      ...defined({
        tag: digest ?? tag,
        platform: platform === "" ? undefined : platform,
        registryAuth: auth,
      }),
    });
    for await (const message of messages) if (!quiet) reportLayer(report, name, message);
    report({ id: name, kind: "done", text: "Pulled" });
  } catch (error) {
    const why = errorText(error);
    const isBuildable = service.build !== undefined;
    report({
      id: name,
      kind: isBuildable ? "warning" : "error",
      text: isBuildable ? "Warning" : "Error",
      detail: why,
    });
    throw error;
  }
}

const finished = new Set([
  "Already exists",
  "Pull complete",
  "Download complete",
  "Pushed",
  "Layer already exists",
]);

/** A message about a layer as a line below its image. */
function reportLayer(report: Report, parent: string, message: ProgressMessage): void {
  const { id, status, progressDetail } = message;
  if (id === undefined || status === undefined) return;
  const { current = 0, total = 0 } = progressDetail ?? {};
  const amount = total > 0 ? `${Math.floor((100 * current) / total)}%` : "";
  report({
    id,
    parent,
    kind: finished.has(status) ? "done" : "working",
    text: status,
    ...(amount === "" ? {} : { detail: amount, fleeting: true }),
  });
}

/** Pushes the image of a service. */
export async function pushImage(
  { client, report, registryAuth }: Session,
  { name, image }: Pick<Pull, "name" | "image">,
  { quiet = false }: PullOptions,
): Promise<void> {
  report({ id: name, kind: "working", text: "Pushing" });
  try {
    const reference = parseReference(image);
    const { tag } = withDefaultTag(reference);
    const messages = client.imagePush({
      image: repositoryName(reference),
      ...defined({ tag, registryAuth: await registryAuth(image) }),
    });
    for await (const message of messages) if (!quiet) reportLayer(report, name, message);
    report({ id: name, kind: "done", text: "Pushed" });
  } catch (error) {
    report({
      id: name,
      kind: "error",
      text: "Error",
      detail: errorText(error),
    });
    throw error;
  }
}
