/** What is there of a project. */
import { isNotFound } from "../../client/errors.ts";
import { inspectImages, listContainers, type Session } from "../engine.ts";
import { imageOf, type Project } from "../model/project.ts";
import type { Observation } from "../plan.ts";

/** Asks the daemon once for everything that a plan looks at. */
export async function observeProject({ client }: Session, project: Project): Promise<Observation> {
  const images = Object.entries(project.services).map(([name, service]) => imageOf(project, name, service));
  const [containers, networks, volumes, found] = await Promise.all([
    listContainers(client, project.name, { oneOff: "include" }),
    listNetworks({ client }, project),
    listVolumes({ client }, project),
    inspectImages(client, images),
  ]);
  return { containers, networks, volumes, images: found };
}

async function listNetworks(
  { client }: Pick<Session, "client">,
  project: Project,
): Promise<Observation["networks"]> {
  const names = Object.values(project.networks).map(({ name }) => name);
  if (names.length === 0) return new Map();
  const all = await client.networkList();
  const result = new Map<string, { id: string; labels: Record<string, string> }>();
  for (const { Name: name, Id: id, Labels: labels } of all) {
    for (const key of [name, id]) if (names.includes(key)) result.set(key, { id, labels: labels ?? {} });
  }
  return result;
}

async function listVolumes(
  { client }: Pick<Session, "client">,
  project: Project,
): Promise<Observation["volumes"]> {
  const result = new Map<string, { labels: Record<string, string> }>();
  await Promise.all(
    Object.values(project.volumes).map(async ({ name }) => {
      try {
        result.set(name, { labels: (await client.volumeInspect(name)).Labels ?? {} });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }),
  );
  return result;
}
