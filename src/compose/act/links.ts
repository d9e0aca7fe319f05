/** Links of a service: containers under the names by which it knows them. */
import type { Project, Service } from "../model/project.ts";

export interface LinkOptions {
  readonly number: number;
  /** Names of a service's containers. */
  readonly containersOf: (service: string) => readonly string[];
  /** The service itself, for a one-off container, which is linked to its own service. */
  readonly ownService?: string;
}

/** `container:alias`, three a container, as Docker Compose makes them: the alias, `service-N` and the whole name. */
export function linksOf(project: Project, service: Service, options: LinkOptions): string[] {
  const { separator } = project;
  const links: string[] = [];
  for (const link of service.links ?? []) {
    const [target = "", alias = target] = link.split(":");
    for (const container of options.containersOf(target)) {
      const number = /\d+$/.exec(container)?.[0] ?? String(options.number);
      links.push(
        `${container}:${alias}`,
        `${container}:${[target, number].join(separator)}`,
        `${container}:${[project.name, target, number].join(separator)}`,
      );
    }
  }
  if (options.ownService !== undefined) {
    for (const container of options.containersOf(options.ownService)) {
      const short = container.startsWith(project.name + separator)
        ? container.slice(project.name.length + 1)
        : container;
      links.push(`${container}:${options.ownService}`, `${container}:${short}`, `${container}:${container}`);
    }
  }
  for (const link of service.external_links ?? []) {
    const [target = "", alias = target] = link.split(":");
    links.push(`${target}:${alias}`);
  }
  return [...new Set(links)];
}
