import { loadProject } from "../../compose/load.ts";
import { namesOf } from "../../compose/model/project.ts";

/** Names of the services of the files here, for completion; none where there is no file that can be read. */
export function serviceNames(): { readonly value: string; readonly help: string }[] {
  try {
    const { services } = loadProject({ cwd: process.cwd(), env: process.env, consistency: false });
    return namesOf(services).map((value) => ({ value, help: services[value]!.image ?? "built here" }));
  } catch {
    return [];
  }
}
