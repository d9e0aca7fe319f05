/** A project as the labels of its containers tell it, for when its files are elsewhere. */
import type { Observed } from "./engine.ts";
import { labels } from "./labels.ts";
import { emptyProject, type Dependency, type Project, type Service } from "./model/project.ts";

/** Services with their images, numbers and dependencies; nothing else is known. */
export function projectFromLabels(name: string, containers: readonly Observed[]): Project {
  const services: Record<string, Service> = {};
  for (const { service, summary } of containers) {
    const known = services[service];
    services[service] = {
      image: summary.Image,
      scale: (known?.scale ?? 0) + 1,
      depends_on: dependenciesOf(summary.Labels[labels.dependsOn] ?? ""),
    };
  }
  for (const service of Object.values(services)) {
    for (const other of Object.keys(service.depends_on ?? {})) {
      if (!(other in services)) delete service.depends_on![other];
    }
  }
  const own = containers[0]?.summary.Labels ?? {};
  return {
    ...emptyProject(name),
    directory: own[labels.workingDirectory] ?? "",
    files: (own[labels.configFiles] ?? "").split(",").filter((file) => file !== ""),
    services,
  };
}

/** `db:service_healthy:false,cache:service_started:true`. */
function dependenciesOf(label: string): Record<string, Dependency> {
  const entries = label.split(",").flatMap((entry): [string, Dependency][] => {
    const [name = "", condition = "service_started", restart = "false"] = entry.split(":");
    return name === "" ? [] : [[name, { condition, restart: restart === "true", required: true }]];
  });
  return Object.fromEntries(entries);
}
