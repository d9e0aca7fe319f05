/** Which images a project lacks. */
import { imageOf, namesOf, type Project } from "../model/project.ts";
import type { Observation } from "../plan.ts";

/** Names of the services whose image must be pulled before their containers can be made. */
export function servicesToPull(project: Project, images: Observation["images"]): string[] {
  return namesOf(project.services).filter((name) => {
    const { image, pull_policy: policy = "" } = project.services[name]!;
    if (image === undefined) return false;
    if (policy === "always" || /^(daily|weekly|every_)/.test(policy)) return true;
    return !["never", "build"].includes(policy) && !images.has(image);
  });
}

/** Names of the services whose image must be built before their containers can be made. */
export function servicesToBuild(
  project: Project,
  images: Observation["images"],
  { force }: { readonly force: boolean },
): string[] {
  return namesOf(project.services).filter((name) => {
    const service = project.services[name]!;
    if (service.build === undefined) return false;
    return force || service.pull_policy === "build" || !images.has(imageOf(project, name, service));
  });
}
