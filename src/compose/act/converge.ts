/** Makes the containers of a plan; starting them is `act/start.ts`. */
import { errorText } from "../../base/errors.ts";
import { inDependencyOrder, settle } from "../dependency-order.ts";
import { hasApi, hasStatus, type Observed, type Session } from "../engine.ts";
import { ComposeError } from "../errors.ts";
import { labels } from "../labels.ts";
import { imageOf, type Project, type Service } from "../model/project.ts";
import {
  firstByName,
  resolveReferences,
  type ConvergePlan,
  type Create,
  type Observation,
  type Recreate,
  type ServicePlan,
} from "../plan.ts";
import { reported } from "../progress.ts";
import { createRequest, type ContainerPlan } from "../request/create-request.ts";
import { networkRequest } from "../request/networks.ts";
import { injectFiles } from "./inject-files.ts";
import { linksOf } from "./links.ts";
import { removeContainers, stopContainer } from "./stop.ts";

/** A container that is there after converging. */
export interface Ready {
  readonly id: string;
  readonly name: string;
  readonly service: string;
  readonly number: number;
  readonly isRunning: boolean;
  /** It was made by this run. */
  readonly isNew: boolean;
}

export interface ConvergeOptions {
  readonly timeoutSeconds?: number | undefined;
}

/** Carries out a plan up to starting. Returns the containers of every service. */
export async function converge(
  session: Session,
  {
    project,
    seen,
    plan,
  }: { readonly project: Project; readonly seen: Observation; readonly plan: ConvergePlan },
  options: ConvergeOptions,
): Promise<Map<string, Ready[]>> {
  for (const warning of plan.warnings) session.warn(warning);
  await settle([
    ...plan.networks.map((key) => createNetwork(session, project, key)),
    ...plan.volumes.map((key) => createVolume(session, project, key)),
  ]);
  if (plan.removeOrphans) await removeContainers(session, plan.orphans, { ...options, volumes: false });
  const worker = new Converger(session, { project, seen, plan }, options);
  return await worker.run();
}

/** Makes a network of the project. */
async function createNetwork({ client, report }: Session, project: Project, key: string): Promise<void> {
  const network = project.networks[key]!;
  await reported(report, `Network ${network.name}`, ["Creating", "Created"], async () => {
    try {
      await client.networkCreate(networkRequest(project, key, network));
    } catch (error) {
      // Somebody was faster: then it is there.
      if (hasStatus(error, 409)) return;
      const why = errorText(error);
      throw new ComposeError(`failed to create network ${network.name}: ${why}`, { cause: error });
    }
  });
}

async function createVolume({ client, report }: Session, project: Project, key: string): Promise<void> {
  const volume = project.volumes[key]!;
  await reported(report, `Volume "${volume.name}"`, ["Creating", "Created"], () =>
    client.volumeCreate({
      Name: volume.name,
      ...(volume.driver === undefined ? {} : { Driver: volume.driver }),
      ...(volume.driver_opts === undefined ? {} : { DriverOpts: volume.driver_opts }),
      Labels: {
        ...volume.labels,
        [labels.volume]: key,
        [labels.project]: project.name,
        [labels.version]: "2.26.1",
      },
    }),
  );
}

class Converger {
  readonly #session: Session;
  readonly #project: Project;
  readonly #seen: Observation;
  readonly #plan: ConvergePlan;
  readonly #options: ConvergeOptions;
  readonly #ready = new Map<string, Ready[]>();

  constructor(
    session: Session,
    {
      project,
      seen,
      plan,
    }: { readonly project: Project; readonly seen: Observation; readonly plan: ConvergePlan },
    options: ConvergeOptions,
  ) {
    this.#session = session;
    this.#project = project;
    this.#seen = seen;
    this.#plan = plan;
    this.#options = options;
  }

  async run(): Promise<Map<string, Ready[]>> {
    const plans = new Map(this.#plan.services.map((service) => [service.name, service]));
    const order = new Map(this.#plan.services.map(({ name, after }) => [name, after]));
    await inDependencyOrder(order, (name) => this.#service(plans.get(name)!));
    return this.#ready;
  }

  async #service(plan: ServicePlan): Promise<void> {
    const { report } = this.#session;
    const service = this.#resolved(plan.name);
    const removal = removeContainers(this.#session, plan.remove, { ...this.#options, volumes: false });
    for (const { name, state } of plan.isLeftAlone === true ? [] : plan.keep) {
      report({ id: `Container ${name}`, kind: "done", text: state === "running" ? "Running" : "Created" });
    }
    const kept = plan.keep.map((container) => ready(container));
    const made = await settle([
      ...plan.create.map((each) => this.#session.limit(() => this.#create(plan.name, service, each))),
      ...plan.recreate.map((each) => this.#session.limit(() => this.#recreate(plan.name, service, each))),
      removal.then(() => undefined),
    ]);
    const all = [...kept, ...made.filter((container) => container !== undefined)];
    this.#ready.set(
      plan.name,
      all.sort((a, b) => a.number - b.number),
    );
  }

  #resolved(name: string): Service {
    const service = this.#project.services[name]!;
    const resolved = resolveReferences(service, (other) => {
      const own = this.#ready.get(other) ?? [];
      if (own.length > 0) return own.toSorted((a, b) => (a.name < b.name ? -1 : 1))[0]!.id;
      const outside = this.#seen.containers.filter((each) => each.service === other && !each.isOneOff);
      return firstByName(outside)?.id;
    });
    if (resolved === undefined) {
      throw new ComposeError(`service "${name}" shares something with a service that has no container`);
    }
    return resolved;
  }

  async #create(name: string, service: Service, { number, name: containerName }: Create): Promise<Ready> {
    const id = await reported(
      this.#session.report,
      `Container ${containerName}`,
      ["Creating", "Created"],
      async () =>
        await createContainer(
          this.#session,
          await this.#containerPlan(name, service, { number, containerName }),
        ),
    );
    return { id, name: containerName, service: name, number, isRunning: false, isNew: true };
  }

  async #containerPlan(
    name: string,
    service: Service,
    own: Pick<ContainerPlan, "number" | "containerName" | "inherited" | "extraLabels">,
  ): Promise<ContainerPlan> {
    const project = this.#project;
    return {
      project,
      name,
      service,
      ...own,
      image: this.#seen.images.get(imageOf(project, name, service)),
      links: linksOf(project, service, { number: own.number, containersOf: (other) => this.#namesOf(other) }),
      useAliases: true,
      allNetworks: await hasApi(this.#session.client, "1.44"),
    };
  }

  #namesOf(service: string): string[] {
    const ready = this.#ready.get(service);
    if (ready !== undefined) return ready.map(({ name }) => name);
    return this.#seen.containers
      .filter((each) => each.service === service && !each.isOneOff)
      .map(({ name }) => name);
  }

  /** The new container is made first, so that a mistake in it leaves the old one as it was. */
  async #recreate(
    name: string,
    service: Service,
    { container, number, name: finalName }: Recreate,
  ): Promise<Ready> {
    const { client, report } = this.#session;
    const id = `Container ${container.name}`;
    return await reported(report, id, ["Recreate", "Recreated"], async () => {
      const temporary = `${container.id.slice(0, 12)}_${finalName}`;
      const plan = await this.#containerPlan(name, service, {
        number,
        containerName: finalName,
        inherited: this.#plan.renewVolumes ? undefined : container.summary.Mounts,
        extraLabels: { [labels.replaces]: container.id },
      });
      const created = await createContainer(this.#session, plan, temporary);
      try {
        await stopContainer(this.#session, this.#project, container, this.#options);
        await client.containerRemove(container.id, {});
      } catch (error) {
        await client.containerRemove(created, { force: true }).catch(() => {});
        throw error;
      }
      await client.containerRename(created, finalName);
      return { id: created, name: finalName, service: name, number, isRunning: false, isNew: true };
    });
  }
}

function ready({ id, name, service, number, state }: Observed): Ready {
  return { id, name, service, number, isRunning: state === "running", isNew: false };
}

/** Makes one container with everything that belongs into it; a failure leaves none. Returns its id. */
export async function createContainer(
  session: Session,
  plan: ContainerPlan,
  name: string = plan.containerName,
): Promise<string> {
  const { client, warn } = session;
  const { request, connection } = createRequest(plan);
  const platform = plan.service.platform ?? plan.project.environment["DOCKER_DEFAULT_PLATFORM"];
  const { Id: id, Warnings: warnings } = await client.containerCreate(request, {
    name,
    ...(platform === undefined || platform === "" ? {} : { platform }),
  });
  for (const warning of warnings ?? []) warn(`${plan.name}: ${warning}`);
  try {
    if (!plan.allNetworks) {
      for (const [network, endpoint] of [...connection.endpoints].slice(1)) {
        await client.networkConnect(network, id, { endpoint });
      }
    }
    await injectFiles(client, plan, id);
  } catch (error) {
    await client.containerRemove(id, { force: true, volumes: true }).catch(() => {});
    throw error;
  }
  return id;
}
