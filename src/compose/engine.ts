/** What compose asks a daemon for, gantry's or Docker's. */
import type { Client } from "../client/client.ts";
import { ClientError, isNotFound } from "../client/errors.ts";
import { compareVersions } from "../client/transport.ts";
import type { ContainerSummary } from "../wire/container.ts";
import type { ImageInspect } from "../wire/image.ts";
import { labels } from "./labels.ts";
import type { Report } from "./progress.ts";

/** Everything that acting on a project needs besides the project. */
export interface Session {
  readonly client: Client;
  readonly report: Report;
  readonly warn: (message: string) => void;
  /** Runs a piece of work when there is room for it (`--parallel`). */
  readonly limit: <T>(work: () => Promise<T>) => Promise<T>;
  /** Value of the X-Registry-Auth header for an image. */
  readonly registryAuth: (image: string) => Promise<string | undefined>;
}

/** Containers of one-off commands (`run`) among those of services. */
export type OneOff = "include" | "exclude" | "only";

/** A container of a project. */
export interface Observed {
  readonly id: string;
  readonly name: string;
  readonly service: string;
  readonly number: number;
  readonly isOneOff: boolean;
  readonly state: string;
  readonly summary: ContainerSummary;
}

/** The containers of a project, by name. */
export async function listContainers(
  client: Client,
  project: string,
  { all = true, oneOff = "exclude" }: { readonly all?: boolean; readonly oneOff?: OneOff } = {},
): Promise<Observed[]> {
  const summaries = await client.containerList({
    all,
    filters: { label: [`${labels.project}=${project}`, labels.configHash] },
  });
  return summaries
    .map(observe)
    .filter(({ isOneOff }) => oneOff === "include" || isOneOff === (oneOff === "only"))
    .sort((a, b) => compareText(a.service, b.service) || a.number - b.number || compareText(a.name, b.name));
}

/** By code units: a collator takes 10 ms to load. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A container as the daemon lists it. */
export function observe(summary: ContainerSummary): Observed {
  const own = summary.Labels;
  return {
    id: summary.Id,
    name: canonicalName(summary),
    service: own[labels.service] ?? "",
    number: Number(own[labels.number] ?? 0),
    isOneOff: own[labels.oneOff] === "True",
    state: summary.State,
    summary,
  };
}

/** True for a service's container that Docker Compose 1 has made. */
export function isOfComposeOne({ summary, isOneOff }: Observed): boolean {
  return !isOneOff && summary.Labels[labels.version]?.startsWith("1.") === true;
}

/** A container's own name: names with a second slash are those that links give. */
function canonicalName({ Names: names, Id: id }: ContainerSummary): string {
  const own = names.find((name) => name.lastIndexOf("/") === 0) ?? names[0];
  return own === undefined ? id.slice(0, 12) : own.replace(/^\//, "");
}

/** What compose shows of a name: without the project, where the name is the usual one. */
export function shownName({ name, service, number, summary }: Observed): string {
  const project = summary.Labels[labels.project] ?? "";
  const isUsual = ["-", "_"].some((separator) => name === [project, service, number].join(separator));
  return isUsual ? name.slice(project.length + 1) : name;
}

/** The images that are there, by the name that was asked. */
export async function inspectImages(
  client: Client,
  names: Iterable<string>,
): Promise<Map<string, ImageInspect>> {
  const found = new Map<string, ImageInspect>();
  await Promise.all(
    [...new Set(names)].map(async (name) => {
      try {
        found.set(name, await client.imageInspect(name));
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }),
  );
  return found;
}

/** True when the daemon knows this version of the API. */
export async function hasApi(client: Client, version: string): Promise<boolean> {
  return compareVersions(await client.apiVersion(), version) >= 0;
}

/** True for an error of the daemon with one of the statuses. */
export function hasStatus(error: unknown, ...statuses: number[]): boolean {
  return error instanceof ClientError && statuses.includes(error.status);
}
