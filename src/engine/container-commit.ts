import { invalidArgument, isKind } from "../base/errors.ts";
import type { ContainerRecord } from "../container/container.ts";
import { packChanges } from "../container/pack-changes.ts";
import { applyChanges } from "../image/changes.ts";
import type { ImageRecord } from "../image/image.ts";
import type { ImageConfig } from "../oci/image-spec.ts";
import {
  familiarReference,
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
  withTag,
} from "../oci/reference.ts";
import type { ContainerConfig } from "../wire/container.ts";
import { mountPlaces } from "./container-changes.ts";
import { containerPause, containerUnpause } from "./container-pause.ts";
import { emitContainer, type EngineContext } from "./context.ts";
import type { CommitRequest } from "./image-commit.ts";
import { mergeConfig } from "./merge-config.ts";

export interface CommitOptions {
  readonly repository: string | undefined;
  readonly tag: string | undefined;
  readonly author: string;
  readonly comment: string;
  /** Freeze a running container meanwhile. */
  readonly pause: boolean;
  /** Dockerfile instructions that change the configuration. */
  readonly changes: readonly string[];
  /** Wins over the container's own configuration. */
  readonly config: ContainerConfig | undefined;
}

/** Makes an image of a container's configuration and what it changed. Returns the image's id. */
export async function containerCommit(
  context: EngineContext,
  nameOrId: string,
  { options, commit }: { options: CommitOptions; commit: (request: CommitRequest) => Promise<ImageRecord> },
): Promise<string> {
  const container = context.containers.resolve(nameOrId);
  const { id } = container;
  const name = targetName(options);
  const own = imageConfigOf(container.config);
  const asked = options.config === undefined ? own : imageConfigOf(mergeConfig(options.config, own));
  const config = withHealthTimes(applyChanges(asked, options.changes), asked);
  const isPaused = options.pause && (await pauseIfRunning(context, container));
  try {
    // Nobody removes it meanwhile.
    using _ = await context.locks.acquire(id);
    const { directory, changes } = context.snapshotter.changes(id, mountPlaces);
    const image = await commit({
      parentId: container.imageId,
      config,
      layer: changes.length === 0 ? undefined : packChanges(directory, changes),
      name: name === undefined ? undefined : formatReference(name),
      author: options.author,
      comment: options.comment,
      createdBy: [container.path, ...container.args].join(" "),
    });
    emitContainer(context, container, "commit", {
      comment: options.comment,
      imageID: image.id,
      imageRef: name === undefined ? "" : familiarReference(name),
    });
    return image.id;
  } finally {
    if (isPaused) await containerUnpause(context, id);
  }
}

/** Freezes a container that runs; one that ends at this moment changes nothing any more. */
async function pauseIfRunning(context: EngineContext, container: ContainerRecord): Promise<boolean> {
  if (container.state.status !== "running") return false;
  try {
    await containerPause(context, container.id);
    return true;
  } catch (error) {
    if (!isKind(error, "conflict")) throw error;
    return false;
  }
}

function targetName({ repository, tag }: CommitOptions): Reference | undefined {
  if (repository === undefined || repository === "") return undefined;
  const reference = parseReference(repository);
  if (reference.digest !== undefined)
    throw invalidArgument("refusing to create a tag with a digest reference");
  return tag === undefined || tag === "" ? withDefaultTag(reference) : withTag(reference, tag);
}

/** A check that is changed keeps the times and retries of the one before, as with Docker, unless it has its own. */
function withHealthTimes(changed: ImageConfig, before: ImageConfig): ImageConfig {
  if (!changed.Healthcheck || !before.Healthcheck) return changed;
  return { ...changed, Healthcheck: { ...before.Healthcheck, ...changed.Healthcheck } };
}

/** What of a container's configuration belongs to every container that is made of the image. */
function imageConfigOf(config: ContainerConfig): ImageConfig {
  return {
    ...(config.User ? { User: config.User } : {}),
    ...(config.ExposedPorts ? { ExposedPorts: config.ExposedPorts } : {}),
    ...(config.Env ? { Env: config.Env } : {}),
    ...(config.Entrypoint ? { Entrypoint: config.Entrypoint } : {}),
    ...(config.Cmd ? { Cmd: config.Cmd } : {}),
    ...(config.Volumes ? { Volumes: config.Volumes } : {}),
    ...(config.WorkingDir ? { WorkingDir: config.WorkingDir } : {}),
    ...(config.Labels ? { Labels: config.Labels } : {}),
    ...(config.StopSignal ? { StopSignal: config.StopSignal } : {}),
    ...(typeof config.StopTimeout === "number" ? { StopTimeout: config.StopTimeout } : {}),
    ...(config.Healthcheck ? { Healthcheck: config.Healthcheck } : {}),
    ...(config.OnBuild ? { OnBuild: config.OnBuild } : {}),
    ...(config.Shell ? { Shell: config.Shell } : {}),
  };
}
