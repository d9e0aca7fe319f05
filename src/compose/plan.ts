/**
 * What has to be done so that a project is what its files say: a pure function of the files and of what is there.
 * Running it is another matter (`act/converge.ts`); printing it is `--dry-run`.
 */
import type { ImageInspect } from "../wire/image.ts";
import type { Observed } from "./engine.ts";
import { ComposeError } from "./errors.ts";
import { isTrue } from "./go-values.ts";
import { labels } from "./labels.ts";
import { serviceHash } from "./model/service-hash.ts";
import { imageOf, scaleOf, type Project, type Service } from "./model/project.ts";

/** When a container is made anew: when it is not what its service wants, always, or never. */
export type RecreatePolicy = "diverged" | "force" | "never";

/** What the daemon has. */
export interface Observation {
  /** Every container of the project, one-off ones too. */
  readonly containers: readonly Observed[];
  /** Networks by name. */
  readonly networks: ReadonlyMap<
    string,
    { readonly id: string; readonly labels: Readonly<Record<string, string>> }
  >;
  /** Volumes by name. */
  readonly volumes: ReadonlyMap<string, { readonly labels: Readonly<Record<string, string>> }>;
  readonly images: ReadonlyMap<string, ImageInspect>;
  /** Ids of containers of Docker Compose 1 that are what their services want, whatever their hash. */
  readonly asWanted?: ReadonlySet<string>;
}

export interface PlanOptions {
  /** Services that were asked for; others are there as what they depend on. */
  readonly services: readonly string[];
  readonly recreate: RecreatePolicy;
  readonly recreateDependencies: RecreatePolicy;
  readonly removeOrphans: boolean;
  /** Services whose containers stay as they are, whatever their number. */
  readonly leaveAlone?: readonly string[];
  /** Volumes without a name are new ones instead of those of the container that is replaced. */
  readonly renewVolumes: boolean;
}

export interface Create {
  readonly number: number;
  readonly name: string;
}

export interface Recreate extends Create {
  readonly container: Observed;
  readonly why: string;
}

/** What becomes of one service. */
export interface ServicePlan {
  readonly name: string;
  readonly keep: readonly Observed[];
  /** Its containers stay as they are, and nothing is said of them. */
  readonly isLeftAlone?: boolean;
  readonly create: readonly Create[];
  readonly recreate: readonly Recreate[];
  readonly remove: readonly Observed[];
  /** Services whose containers must be there first: their names or namespaces go into this one's. */
  readonly after: readonly string[];
}

export interface ConvergePlan {
  /** Keys of networks and volumes to make. */
  readonly networks: readonly string[];
  readonly volumes: readonly string[];
  readonly orphans: readonly Observed[];
  readonly removeOrphans: boolean;
  readonly renewVolumes: boolean;
  /** In an order in which each comes after those that it is after. */
  readonly services: readonly ServicePlan[];
  readonly warnings: readonly string[];
}

/** Throws {@link ComposeError} where something that is there stands in the way. */
export function planProject(project: Project, seen: Observation, options: PlanOptions): ConvergePlan {
  const warnings: string[] = [];
  const known = new Set([...Object.keys(project.services), ...Object.keys(project.disabled)]);
  const orphans = seen.containers.filter(({ service }) => !known.has(service));
  const isIgnoring = isTrue(project.environment["COMPOSE_IGNORE_ORPHANS"]);
  if (orphans.length > 0 && !options.removeOrphans && !isIgnoring) {
    warnings.push(
      `Found orphan containers ([${orphans.map(({ name }) => name).join(" ")}]) for this project. If you removed or ` +
        "renamed this service in your compose file, you can run this command with the --remove-orphans flag to clean it up.",
    );
  }
  const planner = new Planner(project, seen, options);
  return {
    networks: planNetworks(project, seen, warnings),
    volumes: planVolumes(project, seen, warnings),
    orphans,
    removeOrphans: options.removeOrphans,
    renewVolumes: options.renewVolumes,
    services: planner.services(),
    warnings,
  };
}

function planNetworks(project: Project, { networks }: Observation, warnings: string[]): string[] {
  const wanted: string[] = [];
  for (const [key, network] of Object.entries(project.networks)) {
    const found = networks.get(network.name);
    if (network.external === true) {
      if (found === undefined && !predefined.has(network.name)) {
        throw new ComposeError(`network ${network.name} declared as external, but could not be found`);
      }
      continue;
    }
    if (found === undefined) {
      wanted.push(key);
      continue;
    }
    const owner = found.labels[labels.project];
    if (owner !== project.name) {
      const whose = owner === undefined ? "by compose" : `for project "${project.name}"`;
      warnings.push(
        `a network with name ${network.name} exists but was not created ${whose}.\nSet \`external: true\` to use an existing network`,
      );
      continue;
    }
    const label = found.labels[labels.network];
    if (label !== key) {
      throw new ComposeError(
        `network ${network.name} was found but has incorrect label ${labels.network} set to "${label ?? ""}"`,
      );
    }
  }
  return wanted.sort();
}

const predefined = new Set(["bridge", "host", "none"]);

function planVolumes(project: Project, { volumes }: Observation, warnings: string[]): string[] {
  const wanted: string[] = [];
  for (const [key, volume] of Object.entries(project.volumes)) {
    const found = volumes.get(volume.name);
    if (found === undefined) {
      if (volume.external === true) throw new ComposeError(`external volume "${volume.name}" not found`);
      wanted.push(key);
      continue;
    }
    if (volume.external === true) continue;
    const owner = found.labels[labels.project];
    if (owner === project.name) continue;
    const what =
      owner === undefined
        ? "was not created by Docker Compose"
        : `was created for project "${owner}" (expected "${project.name}")`;
    warnings.push(
      `volume "${volume.name}" already exists but ${what}. Use \`external: true\` to use an existing volume`,
    );
  }
  return wanted.sort();
}

class Planner {
  readonly #project: Project;
  readonly #seen: Observation;
  readonly #options: PlanOptions;
  readonly #plans = new Map<string, ServicePlan>();
  readonly #begun = new Set<string>();
  readonly #byService: ReadonlyMap<string, readonly Observed[]>;

  constructor(project: Project, seen: Observation, options: PlanOptions) {
    this.#project = project;
    this.#seen = seen;
    this.#options = options;
    this.#byService = Map.groupBy(
      seen.containers.filter(({ isOneOff }) => !isOneOff),
      ({ service }) => service,
    );
  }

  services(): ServicePlan[] {
    for (const name of Object.keys(this.#project.services).sort()) this.#service(name);
    return [...this.#plans.values()];
  }

  #service(name: string): ServicePlan {
    const done = this.#plans.get(name);
    if (done !== undefined) return done;
    const service = this.#project.services[name]!;
    const after = creationDependencies(this.#project, service);
    const dependencies = Object.keys(service.depends_on ?? {}).filter(
      (other) => other in this.#project.services,
    );
    // Of each other's plans only those are looked at that are made: circles are refused where files are read.
    const others = new Set([...after, ...dependencies]).difference(this.#begun);
    this.#begun.add(name);
    for (const other of others) this.#service(other);
    const plan = this.#plan(name, service, { after, dependencies });
    this.#plans.set(name, plan);
    return plan;
  }

  #plan(
    name: string,
    service: Service,
    { after, dependencies }: { readonly after: readonly string[]; readonly dependencies: readonly string[] },
  ): ServicePlan {
    if (this.#options.leaveAlone?.includes(name) === true) {
      const keep = this.#byService.get(name) ?? [];
      return { name, keep, isLeftAlone: true, recreate: [], create: [], remove: [], after };
    }
    const image = this.#seen.images.get(imageOf(this.#project, name, service));
    const isAsked = this.#options.services.length === 0 || this.#options.services.includes(name);
    const policy = isAsked ? this.#options.recreate : this.#options.recreateDependencies;
    const hash = this.#hash(service);
    // As Compose 2.26 does: whoever depends on a container that is made anew is made anew too.
    const renewed = [...new Set([...after, ...dependencies])].filter(
      (other) => (this.#plans.get(other)?.recreate.length ?? 0) > 0,
    );
    const judged = (this.#byService.get(name) ?? []).map((container) => ({
      container,
      why: this.#whyRecreate(container, { policy, hash, image, after, renewed }),
    }));
    // Those that would be made anew go first when there are too many.
    judged.sort(
      (a, b) =>
        Number(a.why !== undefined) - Number(b.why !== undefined) || a.container.number - b.container.number,
    );
    const count = scaleOf(service);
    const kept = judged.slice(0, count);
    const highest = Math.max(0, ...judged.map(({ container }) => container.number));
    return {
      name,
      keep: kept.flatMap(({ container, why }) => (why === undefined ? [container] : [])),
      recreate: kept.flatMap(({ container, why }) =>
        why === undefined
          ? []
          : [{ container, why, number: container.number, name: this.#containerName(name, container.number) }],
      ),
      create: Array.from({ length: Math.max(0, count - kept.length) }, (_, index) => {
        const number = highest + 1 + index;
        return { number, name: this.#containerName(name, number) };
      }),
      remove: judged.slice(count).map(({ container }) => container),
      after,
    };
  }

  #containerName(name: string, number: number): string {
    return containerName(this.#project, name, number);
  }

  /** The service's hash; undefined when it holds the id of a container that is yet to be made. */
  #hash(service: Service): string | undefined {
    const resolved = resolveReferences(service, (other) => {
      const plan = this.#plans.get(other);
      if (plan === undefined || plan.recreate.length > 0 || plan.create.length > 0) return undefined;
      return firstByName(plan.keep)?.id;
    });
    return resolved === undefined ? undefined : serviceHash(resolved);
  }

  #whyRecreate(
    { id, summary, state }: Observed,
    want: {
      readonly policy: RecreatePolicy;
      readonly hash: string | undefined;
      readonly image: ImageInspect | undefined;
      readonly after: readonly string[];
      readonly renewed: readonly string[];
    },
  ): string | undefined {
    if (want.policy === "never") return undefined;
    if (want.policy === "force") return "forced";
    if (want.renewed.length > 0) return `${want.renewed.join(", ")} is made anew`;
    if (want.hash === undefined) return `${want.after.join(", ")} is made anew`;
    const own = summary.Labels;
    if (this.#seen.asWanted?.has(id) !== true) {
      if (own[labels.configHash] !== want.hash) return "its configuration has changed";
      if (want.image !== undefined && own[labels.image] !== want.image.Id) return "its image has changed";
    }
    return state === "dead" || state === "removing" ? `it is ${state}` : undefined;
  }
}

/** The name of a service's container. */
export function containerName(project: Project, name: string, number: number): string {
  return (
    project.services[name]?.container_name ?? [project.name, name, String(number)].join(project.separator)
  );
}

/** The container that others mean when they name a service. */
export function firstByName(containers: readonly Observed[]): Observed | undefined {
  return containers.toSorted((a, b) => (a.name < b.name ? -1 : 1))[0];
}

/** Services whose containers go into a service's own settings. */
function creationDependencies(project: Project, service: Service): string[] {
  const names = [
    ...[service.network_mode, service.ipc, service.pid].map((mode) => /^service:(.*)$/.exec(mode ?? "")?.[1]),
    ...(service.volumes_from ?? []).map((source) =>
      source.startsWith("container:") ? undefined : source.split(":")[0],
    ),
    ...(service.links ?? []).map((link) => link.split(":")[0]),
  ];
  return [...new Set(names)].filter((name) => name !== undefined && name in project.services) as string[];
}

/**
 * The service with ids of containers in place of the services that it names. `idOf` gives a service's container; where
 * it gives none, the answer is undefined.
 */
export function resolveReferences(
  service: Service,
  idOf: (name: string) => string | undefined,
): Service | undefined {
  const resolved: Service = { ...service };
  for (const key of ["network_mode", "ipc", "pid"] as const) {
    const other = /^service:(.*)$/.exec(service[key] ?? "")?.[1];
    if (other === undefined) continue;
    const id = idOf(other);
    if (id === undefined) return undefined;
    resolved[key] = `container:${id}`;
  }
  if (service.volumes_from === undefined) return resolved;
  const sources: string[] = [];
  for (const source of service.volumes_from) {
    const [name = "", ...mode] = source.split(":");
    if (name === "container") {
      sources.push(mode.slice(0, 1).concat(mode.slice(1)).join(":"));
      continue;
    }
    const id = idOf(name);
    if (id === undefined) return undefined;
    sources.push([id, ...mode].join(":"));
  }
  resolved.volumes_from = sources;
  return resolved;
}

/** A line a step, for `--dry-run`. */
export function planLines(plan: ConvergePlan, project: Project): string[] {
  const lines: string[] = [];
  for (const key of plan.networks) lines.push(`Network ${project.networks[key]!.name}  create`);
  for (const key of plan.volumes) lines.push(`Volume ${project.volumes[key]!.name}  create`);
  if (plan.removeOrphans) {
    for (const { name } of plan.orphans) lines.push(`Container ${name}  remove (its service is gone)`);
  }
  for (const service of plan.services) {
    for (const { name } of service.remove) lines.push(`Container ${name}  remove (scaled down)`);
    for (const { name, container, why } of service.recreate) {
      lines.push(`Container ${container.name}  recreate as ${name} (${why})`);
    }
    for (const { name } of service.create) lines.push(`Container ${name}  create`);
    for (const { name, state } of service.keep) lines.push(`Container ${name}  keep (${state})`);
  }
  return lines;
}
