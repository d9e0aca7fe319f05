/** Stops services, dependents before what they depend on. */
import { inDependencyOrder } from "../dependency-order.ts";
import { listContainers, type Session } from "../engine.ts";
import { labels } from "../labels.ts";
import type { Project } from "../model/project.ts";
import { stopContainers, type StopOptions } from "./stop.ts";

/** `project` may be no more than a name: then labels tell what depends on what. No services are all. */
export async function stopProject(
  session: Session,
  project: Project | { readonly name: string },
  { services, ...options }: StopOptions & { readonly services: readonly string[] },
): Promise<void> {
  const containers = await listContainers(session.client, project.name);
  const known = "services" in project ? project : undefined;
  const wanted = containers.filter(
    ({ service }) =>
      (services.length === 0 || services.includes(service)) &&
      (known === undefined || known.services[service] !== undefined || known.disabled[service] !== undefined),
  );
  const byService = Map.groupBy(wanted, ({ service }) => service);
  const order = new Map(
    [...byService].map(([name, own]) => {
      const label = own[0]?.summary.Labels[labels.dependsOn] ?? "";
      const fromLabel = label.split(",").map((entry) => entry.split(":")[0]!);
      return [name, known === undefined ? fromLabel : Object.keys(known.services[name]?.depends_on ?? {})];
    }),
  );
  const running = (name: string) =>
    (byService.get(name) ?? []).filter(({ state }) => state !== "exited" && state !== "created");
  await inDependencyOrder(
    order,
    (name) =>
      stopContainers(session, running(name), {
        ...options,
        ...(known === undefined ? {} : { project: known }),
      }),
    { reverse: true },
  );
}
