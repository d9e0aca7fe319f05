/** Containers of a project that is there, with or without its files. */
import { listContainers, type Observed, type OneOff } from "../../compose/engine.ts";
import { ComposeError } from "../../compose/errors.ts";
import type { Project } from "../../compose/model/project.ts";
import type { ComposeApp } from "./app.ts";

export interface FoundContainers {
  readonly name: string;
  readonly project: Project | undefined;
  readonly containers: readonly Observed[];
}

export interface FindOptions {
  readonly all?: boolean;
  readonly oneOff?: OneOff;
}

/** The containers of these services, or of all. Throws {@link ComposeError} for a service that nobody knows. */
export async function containersOf(
  app: ComposeApp,
  services: readonly string[],
  { all = true, oneOff = "exclude" }: FindOptions = {},
): Promise<FoundContainers> {
  const { project, name } = app.projectOrName();
  const containers = await listContainers(app.context.client, name, { all, oneOff });
  for (const service of services) {
    const isKnown =
      project?.services[service] !== undefined || containers.some((each) => each.service === service);
    if (!isKnown) throw new ComposeError(`no such service: ${service}`);
  }
  const wanted = containers.filter(({ service }) => services.length === 0 || services.includes(service));
  return { name, project, containers: wanted };
}

/** One running container of a service: that of the number, or the first. Throws {@link ComposeError}. */
export async function runningContainer(app: ComposeApp, service: string, index: number): Promise<Observed> {
  const { containers } = await containersOf(app, [service], { all: false });
  const found = index > 0 ? containers.find(({ number }) => number === index) : containers[0];
  if (found !== undefined) return found;
  throw new ComposeError(`service "${service}" is not running${index > 0 ? ` container #${index}` : ""}`);
}

/** One container of a service, running or not. Throws {@link ComposeError}. */
export async function anyContainer(app: ComposeApp, service: string, index: number): Promise<Observed> {
  const { containers } = await containersOf(app, [service]);
  const found = index > 0 ? containers.find(({ number }) => number === index) : containers[0];
  if (found !== undefined) return found;
  throw new ComposeError(`service "${service}" has no container${index > 0 ? ` #${index}` : ""}`);
}
