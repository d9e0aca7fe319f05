/** Images named by what their tags are in the registry now. */
import type { Project } from "../../compose/model/project.ts";
import { familiarReference, formatReference, parseReference, withDefaultTag } from "../../oci/reference.ts";
import type { ComposeApp } from "./app.ts";

/** The project with digests in its images' names; the daemon asks the registries. */
export async function withDigests(app: ComposeApp, project: Project): Promise<Project> {
  const { registryAuthFor } = await import("../credentials.ts");
  const services = await Promise.all(
    Object.entries(project.services).map(async ([name, service]) => {
      if (service.image === undefined) return [name, service] as const;
      const reference = withDefaultTag(parseReference(service.image));
      if (reference.digest !== undefined) return [name, service] as const;
      const auth = await registryAuthFor(app.context, reference.domain);
      const { Descriptor: descriptor } = await app.context.client.transport.json<{
        Descriptor: { digest: string };
      }>("GET", `/distribution/${familiarReference(reference)}/json`, {
        headers: auth === undefined ? {} : { "X-Registry-Auth": auth },
      });
      const image = `${formatReference(reference)}@${descriptor.digest}`;
      return [name, { ...service, image }] as const;
    }),
  );
  return { ...project, services: Object.fromEntries(services) };
}
