/** Takes a project away again. */
import { reportFailure } from "../progress.ts";
import { isNotFound } from "../../client/errors.ts";
import { inDependencyOrder, settle } from "../dependency-order.ts";
import { hasStatus, listContainers, type Observed, type Session } from "../engine.ts";
import { labels } from "../labels.ts";
import { imageOf, type Project } from "../model/project.ts";
import { removeContainers, stopRunning } from "./stop.ts";

export interface DownOptions {
  /** Services; all of them, with networks, when empty. */
  readonly services: readonly string[];
  readonly volumes: boolean;
  readonly images: "" | "local" | "all";
  readonly removeOrphans: boolean;
  readonly timeoutSeconds?: number | undefined;
}

/** What there is to take away. */
export interface DownPlan {
  readonly containers: readonly Observed[];
  /** Dependencies of services, as files or labels tell them. */
  readonly dependencies: ReadonlyMap<string, readonly string[]>;
  readonly orphans: readonly Observed[];
  readonly networks: readonly { readonly id: string; readonly name: string }[];
  readonly volumes: readonly string[];
  readonly images: readonly string[];
}

/** Looks at what there is. `project` is undefined when only its name is known: then labels tell. */
export async function planDown(
  { client }: Session,
  name: string,
  project: Project | undefined,
  options: DownOptions,
): Promise<DownPlan> {
  const filters = { label: [`${labels.project}=${name}`] };
  const [all, networks, volumes] = await Promise.all([
    listContainers(client, name, { oneOff: options.removeOrphans ? "include" : "exclude" }),
    client.networkList({ filters }),
    options.volumes ? client.volumeList({ filters }) : [],
  ]);
  const known =
    project === undefined
      ? undefined
      : new Set([...Object.keys(project.services), ...Object.keys(project.disabled)]);
  const isOwn = ({ service }: Observed): boolean => known === undefined || known.has(service);
  const selected = withDependents(options.services, dependenciesOf(project, all));
  const isSelected = ({ service }: Observed): boolean => selected === undefined || selected.has(service);
  const containers = all.filter((container) => isOwn(container) && isSelected(container));
  const isWhole = options.services.length === 0;
  return {
    containers,
    dependencies: dependenciesOf(project, containers),
    orphans: options.removeOrphans && isWhole ? all.filter((container) => !isOwn(container)) : [],
    networks: networks
      .filter(({ Labels: own }) => isWhole && isDeclared(project?.networks, own?.[labels.network]))
      .map(({ Id: id, Name: networkName }) => ({ id, name: networkName })),
    volumes: volumes
      .filter(({ Labels: own }) => isDeclared(project?.volumes, own?.[labels.volume]))
      .map(({ Name: volumeName }) => volumeName),
    images: options.images === "" ? [] : imagesToRemove(project, containers, options.images),
  };
}

/** The services, and those that need them; undefined for all. */
function withDependents(
  services: readonly string[],
  dependencies: ReadonlyMap<string, readonly string[]>,
): Set<string> | undefined {
  if (services.length === 0) return undefined;
  const selected = new Set(services);
  for (let size = -1; size !== selected.size;) {
    size = selected.size;
    for (const [name, others] of dependencies)
      if (others.some((other) => selected.has(other))) selected.add(name);
  }
  return selected;
}

/** Everything with the project's label goes, unless the files say that it is somebody else's. */
function isDeclared(
  parts: Readonly<Record<string, { readonly external?: boolean }>> | undefined,
  key: string | undefined,
): boolean {
  return parts === undefined || key === undefined || parts[key]?.external !== true;
}

function dependenciesOf(
  project: Project | undefined,
  containers: readonly Observed[],
): Map<string, readonly string[]> {
  const result = new Map<string, readonly string[]>();
  for (const { service, summary } of containers) {
    const label = summary.Labels[labels.dependsOn] ?? "";
    result.set(
      service,
      label.split(",").map((entry) => entry.split(":")[0]!),
    );
  }
  for (const [name, service] of Object.entries({ ...project?.disabled, ...project?.services })) {
    result.set(name, Object.keys(service.depends_on ?? {}));
  }
  return result;
}

function imagesToRemove(
  project: Project | undefined,
  containers: readonly Observed[],
  which: "local" | "all",
): string[] {
  const names = new Set<string>();
  for (const [name, service] of Object.entries(project?.services ?? {})) {
    if (which === "all" || (service.build !== undefined && service.image === undefined)) {
      names.add(imageOf(project!, name, service));
    }
  }
  if (project === undefined && which === "all")
    for (const { summary } of containers) names.add(summary.Image);
  return [...names].sort();
}

/** True when there is nothing to do. */
export function isEmptyDown(plan: DownPlan): boolean {
  return [plan.containers, plan.orphans, plan.networks, plan.volumes, plan.images].every(
    (list) => list.length === 0,
  );
}

/**
 * Stops and removes: dependents before what they depend on. A container goes as soon as it has stopped, and networks
 * once nothing runs on them, which need not wait for that.
 */
export async function down(
  session: Session,
  plan: DownPlan,
  {
    project,
    ...options
  }: Pick<DownOptions, "volumes" | "timeoutSeconds"> & { readonly project: Project | undefined },
): Promise<void> {
  const byService = Map.groupBy(plan.containers, ({ service }) => service);
  const stopOptions = { ...options, ...(project === undefined ? {} : { project }) };
  const removals: Promise<void>[] = [];
  const remove = async (containers: readonly Observed[], volumes: boolean): Promise<void> => {
    await stopRunning(session, containers, stopOptions);
    const removal = removeContainers(session, containers.map(stopped), { ...stopOptions, volumes });
    removal.catch(() => {});
    removals.push(removal);
  };
  const order = new Map([...byService.keys()].map((name) => [name, plan.dependencies.get(name) ?? []]));
  try {
    await inDependencyOrder(order, (name) => remove(byService.get(name) ?? [], options.volumes), {
      reverse: true,
    });
    await remove(plan.orphans, false);
  } catch (error) {
    await Promise.allSettled(removals);
    throw error;
  }
  const removed = settle(removals);
  await settle([
    removed.then(() => undefined),
    ...plan.networks.map((network) => removeNetwork(session, network, removed)),
    removeUnused(session, plan, removed),
  ]);
}

/** Images and volumes, which are in use as long as a container is there. */
async function removeUnused(session: Session, plan: DownPlan, removed: Promise<unknown>): Promise<void> {
  await removed;
  const { client } = session;
  await settle([
    ...plan.images.map((image) => removeThing(session, `Image ${image}`, () => client.imageRemove(image))),
    ...plan.volumes.map((volume) =>
      removeThing(session, `Volume ${volume}`, () => client.volumeRemove(volume, { force: true })),
    ),
  ]);
}

function stopped(container: Observed): Observed {
  return { ...container, state: "exited" };
}

async function removeNetwork(
  session: Session,
  { id, name }: { readonly id: string; readonly name: string },
  removed: Promise<unknown>,
): Promise<void> {
  await removeThing(session, `Network ${name}`, async () => {
    try {
      await session.client.networkRemove(id);
    } catch (error) {
      if (!isInUse(error)) throw error;
      // An end that is still being tidied up.
      await removed;
      await session.client.networkRemove(id);
    }
  });
}

function isInUse(error: unknown): boolean {
  return hasStatus(error, 409) || (hasStatus(error, 403) && /active endpoints/.test(String(error)));
}

/** What somebody else still uses stays, with a word. */
async function removeThing({ report }: Session, id: string, remove: () => Promise<unknown>): Promise<void> {
  report({ id, kind: "working", text: "Removing" });
  try {
    await remove();
    report({ id, kind: "done", text: "Removed" });
  } catch (error) {
    const isInUse =
      hasStatus(error, 409) || (hasStatus(error, 403) && /active endpoints/.test(String(error)));
    if (isInUse) report({ id, kind: "warning", text: "Resource is still in use" });
    else if (isNotFound(error)) report({ id, kind: "warning", text: "No resource found to remove" });
    else {
      reportFailure(report, id, error);
      throw error;
    }
  }
}
