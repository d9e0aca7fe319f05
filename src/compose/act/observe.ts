/** What is there of a project. */
import type { Client } from "../../client/client.ts";
import { isNotFound } from "../../client/errors.ts";
import { inspectImages, listContainers, type Session } from "../engine.ts";
import { imageOf, type Project } from "../model/project.ts";
import type { Observation } from "../plan.ts";

/** The names that a project is observed by. */
export interface Wanted {
  readonly project: string;
  readonly networks: readonly string[];
  readonly volumes: readonly string[];
  readonly images: readonly string[];
}

/** What a plan of this project is made from. */
export function wantedOf(project: Project): Wanted {
  const names = (parts: Readonly<Record<string, { readonly name: string }>>): string[] =>
    Object.values(parts).map(({ name }) => name);
  const images = Object.entries(project.services).map(([name, service]) => imageOf(project, name, service));
  return {
    project: project.name,
    networks: names(project.networks),
    volumes: names(project.volumes),
    images: [...new Set(images)],
  };
}

/** Asks the daemon once for everything that a plan looks at. */
export async function observeProject({ client }: Session, project: Project): Promise<Observation> {
  return await observe(client, wantedOf(project));
}

/** Asks the daemon once for all of this. */
export async function observe(client: Client, wanted: Wanted): Promise<Observation> {
  const [containers, networks, volumes, images] = await Promise.all([
    listContainers(client, wanted.project, { oneOff: "include" }),
    listNetworks(client, wanted.networks),
    listVolumes(client, wanted.volumes),
    inspectImages(client, wanted.images),
  ]);
  return { containers, networks, volumes, images };
}

async function listNetworks(client: Client, names: readonly string[]): Promise<Observation["networks"]> {
  if (names.length === 0) return new Map();
  const all = await client.networkList();
  const result = new Map<string, { id: string; labels: Record<string, string> }>();
  for (const { Name: name, Id: id, Labels: labels } of all) {
    for (const key of [name, id]) if (names.includes(key)) result.set(key, { id, labels: labels ?? {} });
  }
  return result;
}

async function listVolumes(client: Client, names: readonly string[]): Promise<Observation["volumes"]> {
  const result = new Map<string, { labels: Record<string, string> }>();
  await Promise.all(
    names.map(async (name) => {
      try {
        result.set(name, { labels: (await client.volumeInspect(name)).Labels ?? {} });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }),
  );
  return result;
}
