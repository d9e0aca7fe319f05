/** From a project to running containers: look, pull, build, plan, act. */
import type { Ready } from "./act/converge.ts";
import type { BuildOptions } from "./act/build.ts";
import { servicesToBuild, servicesToPull } from "./act/needed-images.ts";
import { observeProject } from "./act/observe.ts";
import { inspectImages, isOfComposeOne, type Session } from "./engine.ts";
import { ComposeError } from "./errors.ts";
import { imageOf, namesOf, type Project } from "./model/project.ts";
import type { ProgressEvent } from "./progress.ts";
import { planLines, planProject, type ConvergePlan, type Observation, type PlanOptions } from "./plan.ts";

export interface CreateOptions extends PlanOptions {
  readonly quietPull?: boolean;
  /** Builds every service that can be built; undefined builds what is missing, false nothing. */
  readonly build?: boolean | undefined;
  readonly buildOptions?: BuildOptions;
  readonly timeoutSeconds?: number | undefined;
}

/** What a run made. */
export interface Converged {
  /** The project with images that are there. */
  readonly seen: Observation;
  readonly containers: ReadonlyMap<string, Ready[]>;
  /** Nothing was pulled, built, made or taken away. */
  readonly isUnchanged: boolean;
}

/** Makes the containers of a project what its files say. Throws {@link ComposeError}, and what the daemon answers. */
export async function createProject(
  session: Session,
  project: Project,
  options: CreateOptions,
): Promise<Converged> {
  const observed = await observeProject(session, project);
  const seen = await judged(session, project, await ensureImages(session, project, observed, options));
  const plan = planProject(project, seen, options);
  if (isNothing(plan))
    return { seen, containers: kept(session, plan), isUnchanged: seen.images === observed.images };
  // What acts is loaded when there is something to do: mostly there is not.
  const { converge } = await import("./act/converge.ts");
  return {
    seen,
    containers: await converge(session, { project, seen, plan }, options),
    isUnchanged: false,
  };
}

/** What was seen, with a judgement of what Docker Compose 1 has made, whose hashes tell nothing. */
async function judged(session: Session, project: Project, seen: Observation): Promise<Observation> {
  if (!seen.containers.some(isOfComposeOne)) return seen;
  const { withComposeOne } = await import("./act/compose-one.ts");
  return await withComposeOne(session, project, seen);
}

/** Nothing is to be made or to be taken away. */
function isNothing(plan: ConvergePlan): boolean {
  return (
    plan.networks.length + plan.volumes.length === 0 &&
    (plan.orphans.length === 0 || !plan.removeOrphans) &&
    plan.services.every(
      ({ create, recreate, remove }) => create.length + recreate.length + remove.length === 0,
    )
  );
}

/** The containers of a plan that changes none. */
function kept({ report, warn }: Session, plan: ConvergePlan): Map<string, Ready[]> {
  for (const warning of plan.warnings) warn(warning);
  return new Map(
    plan.services.map(({ name: service, keep, isLeftAlone }) => [
      service,
      keep.map(({ id, name, number, state }) => {
        const isRunning = state === "running";
        if (isLeftAlone !== true) report(keptEvent(name, isRunning));
        return { id, name, service, number, isRunning, isNew: false };
      }),
    ]),
  );
}

/** What is told of a container that stays as it is. */
export function keptEvent(name: string, isRunning: boolean): ProgressEvent {
  return { id: `Container ${name}`, kind: "done", text: isRunning ? "Running" : "Created" };
}

/** True when everything runs already, and nobody has to be waited for. */
export function isRunning(containers: ReadonlyMap<string, readonly Ready[]>): boolean {
  return [...containers.values()].every((own) =>
    own.every((container) => container.isRunning && !container.isNew),
  );
}

/** The steps that {@link createProject} would take, a line each. */
export async function describeProject(
  session: Session,
  project: Project,
  options: CreateOptions,
): Promise<string[]> {
  const seen = await judged(session, project, await observeProject(session, project));
  const pulls = servicesToPull(project, seen.images);
  const builds = toBuild(project, seen.images, options);
  return [
    ...pulls.map((name) => `Image ${project.services[name]!.image!}  pull (for ${name})`),
    ...builds.map((name) => `Image ${imageOf(project, name, project.services[name]!)}  build (for ${name})`),
    ...planLines(planProject(project, seen, options), project),
  ];
}

function toBuild(project: Project, images: Observation["images"], { build }: CreateOptions): string[] {
  return build === false ? [] : servicesToBuild(project, images, { force: build === true });
}

async function ensureImages(
  session: Session,
  project: Project,
  seen: Observation,
  options: CreateOptions,
): Promise<Observation> {
  const pulls = servicesToPull(project, seen.images).filter((name) => {
    // What is going to be built need not be pulled first.
    return !(options.build === true && project.services[name]!.build !== undefined);
  });
  let images = seen.images;
  if (pulls.length > 0) {
    const { pullServices } = await import("./act/images.ts");
    await pullServices(session, project, pulls, { quiet: options.quietPull === true });
    images = await inspectAll(session, project);
  }
  const builds = toBuild(project, images, options);
  if (builds.length > 0) {
    const { buildServices } = await import("./act/build.ts");
    await buildServices(session, project, builds, options.buildOptions ?? {});
    images = await inspectAll(session, project);
  }
  for (const name of namesOf(project.services)) {
    const image = imageOf(project, name, project.services[name]!);
    if (images.has(image)) continue;
    throw new ComposeError(
      `No such image: ${image} (service ${name}: its pull policy keeps it from being pulled, or --no-build from being built)`,
    );
  }
  return { ...seen, images };
}

async function inspectAll({ client }: Session, project: Project): Promise<Observation["images"]> {
  return await inspectImages(
    client,
    Object.entries(project.services).map(([name, service]) => imageOf(project, name, service)),
  );
}
