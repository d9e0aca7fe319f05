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
  for (const [first = "", ...others] of byImage.values()) {
    const what = `Skipped - Image is already being pulled by ${first}`;
    for (const id of others) session.report({ id, what, kind: "done", text: "" });
  }
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
  // What names no amounts is about the image: `latest: Pulling from library/busybox`.
  if (id === undefined || status === undefined || progressDetail === undefined) return;
  const amount = percentage(progressDetail);
  report({
    id,
    parent,
    kind: finished.has(status) ? "done" : "working",
    text: status,
    ...(amount === "" ? {} : { detail: amount, fleeting: true }),
  });
}

export interface PushOptions extends PullOptions {
  /** Hears of an image that could not be pushed, and the others go on. Without it that is the end. */
  readonly onFailure?: (name: string, error: unknown) => void;
}

/** The names under which the image of a service is pushed; none where it has no name of its own, or is not built. */
export function pushedNames({ build, image = "" }: Service): readonly string[] {
  return build === undefined || image === "" ? [] : [image, ...(build.tags ?? [])];
}

/** Pushes the images of services, and says which are skipped. */
export async function pushServices(
  session: Session,
  project: Project,
  names: readonly string[],
  { onFailure, ...options }: PushOptions,
): Promise<void> {
  const push = async (name: string, image: string): Promise<void> => {
    try {
      await pushImage(session, image, options);
    } catch (error) {
      if (onFailure === undefined) throw error;
      onFailure(name, error);
    }
  };
  const work: Promise<void>[] = [];
  for (const name of names) {
    const images = pushedNames(project.services[name]!);
    if (images.length === 0) session.report({ id: name, what: "Skipped", kind: "done", text: "" });
    for (const image of images) work.push(session.limit(() => push(name, image)));
  }
  await settle(work);
}

/** Pushes an image, telling of its layers in the words of Docker Compose. */
async function pushImage(
  { client, report, registryAuth }: Session,
  image: string,
  { quiet = false }: PullOptions,
): Promise<void> {
  const reference = parseReference(image);
  const { tag } = withDefaultTag(reference);
  const messages = client.imagePush({
    image: repositoryName(reference),
    ...defined({ tag, registryAuth: await registryAuth(image) }),
  });
  for await (const message of messages) if (!quiet) reportPushed(report, image, message);
}

/** A message about a layer as a line of its own: one layer may go to several images. */
function reportPushed(report: Report, image: string, { id, status, progressDetail }: ProgressMessage): void {
  if (id === undefined || status === undefined) return;
  const amount = percentage(progressDetail);
  report({
    id: `Pushing ${image}: ${id}`,
    what: status,
    kind: finished.has(status) ? "done" : "working",
    text: amount,
    ...(amount === "" ? {} : { fleeting: true }),
  });
}

function percentage({ current = 0, total = 0 }: ProgressMessage["progressDetail"] = {}): string {
  return total > 0 ? `${Math.floor((100 * current) / total)}%` : "";
}
