/** Links between containers on the default bridge: lines in /etc/hosts, variables, names in listings. */
import { conflict, invalidArgument, isKind, notFound } from "../base/errors.ts";
import type { ContainerLink, ContainerRecord } from "../container/container.ts";
import { linkEnvironment, parseLink } from "../container/links.ts";
import type { LinkedPort } from "../network/network.ts";
import type { HostConfig } from "../wire/container.ts";
import type { EngineContext } from "./context.ts";
import { readContainerPort } from "./port-requests.ts";

const bridge = "bridge";
const noLinks = (what: string): string =>
  `conflicting options: ${what} can't be used with links. This would result in undefined behavior`;

/** The links that a container is made with. Throws `invalidArgument` in Docker's words for what cannot be linked to. */
export function findLinks(
  context: EngineContext,
  { Links: asked, NetworkMode: mode }: HostConfig,
): ContainerLink[] {
  if ((asked ?? []).length === 0 || mode !== bridge) {
    if ((asked ?? []).length > 0 && mode === "host") throw invalidArgument(noLinks("host type networking"));
    if ((asked ?? []).length > 0 && mode?.startsWith("container:"))
      throw invalidArgument(noLinks("container type network"));
    return [];
  }
  const found = (asked ?? []).map((text) => {
    const link = parseLink(text);
    if (link === undefined) throw invalidArgument(`bad format for links: ${text}`);
    const child = linkTarget(context, link.name);
    if (child.hostConfig.NetworkMode === "host") throw invalidArgument(noLinks("host type networking"));
    return { containerId: child.id, alias: link.alias };
  });
  // What is said twice is one link.
  return found.filter(
    (link, i) =>
      i ===
      found.findIndex(({ containerId, alias }) => containerId === link.containerId && alias === link.alias),
  );
}

/** A missing one is no 404: clients would take that for a missing image, and pull it. */
function linkTarget(context: EngineContext, name: string): ContainerRecord {
  try {
    return context.containers.resolve(name);
  } catch (error) {
    if (!isKind(error, "notFound")) throw error;
    throw invalidArgument(`could not get container for ${name}: ${error.message}`, { cause: error });
  }
}

interface Linked extends ContainerLink {
  readonly child: ContainerRecord;
}

/** The links to containers that are still there. */
function linked(context: EngineContext, { links = [] }: Pick<ContainerRecord, "links">): Linked[] {
  return links.flatMap((link) => {
    const child = context.containers.byId(link.containerId);
    return child === undefined ? [] : [{ ...link, child }];
  });
}

/** As inspect shows them: `/db:/web/alias`; null without any. */
export function shownLinks(context: EngineContext, container: ContainerRecord): string[] | null {
  const shown = linked(context, container).map(
    ({ child, alias }) => `/${child.name}:/${container.name}/${alias}`,
  );
  return shown.length > 0 ? shown : null;
}

/** The names by which others know containers, as listings show them: `/web/alias`, by the id of the one that is known. */
export function linkNames(context: EngineContext): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const parent of context.containers.list())
    for (const { containerId, alias } of parent.links ?? [])
      names.set(containerId, [...(names.get(containerId) ?? []), `/${parent.name}/${alias}`]);
  return names;
}

function bridgeAddress(context: EngineContext, containerId: string): string {
  const endpoints = context.network.get(containerId)?.endpoints ?? [];
  return endpoints.find(({ networkName }) => networkName === bridge)?.ipv4Address ?? "";
}

/** The variables of a container's links, as they are now. Throws `invalidArgument` when a linked container does not run. */
export function linkVariables(context: EngineContext, container: ContainerRecord): string[] {
  return linked(context, container).flatMap(({ child, alias }) => {
    const name = `/${container.name}/${alias}`;
    const address = bridgeAddress(context, child.id);
    if (child.state.pid === 0)
      throw invalidArgument(`Cannot link to a non running container: /${child.name} AS ${name}`);
    if (address === "")
      throw invalidArgument(`Cannot link to /${child.name}, as it does not belong to the default network`);
    return linkEnvironment({
      name,
      alias,
      address,
      exposedPorts: Object.keys(child.config.ExposedPorts ?? {}),
      env: child.config.Env ?? [],
    });
  });
}

/** The exposed ports of linked containers. Images may say what is no port: no way is opened for that. */
function linkedPorts(context: EngineContext, container: ContainerRecord): LinkedPort[] {
  return linked(context, container).flatMap(({ child }) =>
    Object.keys(child.config.ExposedPorts ?? {})
      .map(readContainerPort)
      .filter((found) => found !== undefined)
      .map(({ port, protocol }) => ({ containerId: child.id, protocol, port })),
  );
}

/** Opens the ways of a running container's links, and those of links to it: its address is perhaps a new one. */
export function openLinks(context: EngineContext, containerId: string): void {
  const container = context.containers.byId(containerId);
  const parents = linkingContainers(context, containerId).map(({ parent }) => parent);
  for (const parent of new Set([...(container === undefined ? [] : [container]), ...parents]))
    context.network.openLinks(parent.id, linkedPorts(context, parent));
}

/** What stands for a linked container in /etc/hosts. */
export interface LinkHost {
  readonly address: string;
  /** Alias, hostname, and the name when it is another one. */
  readonly names: string;
}

function namesOf({ alias, child }: Linked): string {
  return [alias, child.config.Hostname ?? "", ...(alias === child.name ? [] : [child.name])].join(" ");
}

export function linkHosts(context: EngineContext, container: ContainerRecord): LinkHost[] {
  return linked(context, container).map((link) => ({
    address: bridgeAddress(context, link.child.id),
    names: namesOf(link),
  }));
}

/** Who has a running container with a link to this one, and by which names it stands in their files. */
export function linkingContainers(
  context: EngineContext,
  containerId: string,
): { parent: ContainerRecord; host: LinkHost }[] {
  return context.containers
    .list()
    .filter((parent) => parent.state.pid !== 0)
    .flatMap((parent) =>
      linked(context, parent)
        .filter(({ child }) => child.id === containerId)
        .map((link) => ({
          parent,
          host: { address: bridgeAddress(context, containerId), names: namesOf(link) },
        })),
    );
}

/** `rm --link /web/alias`: the link goes, both containers stay. Throws `notFound`. */
export function removeLink(context: EngineContext, name: string): void {
  const [parentName = "", alias] = name.replace(/^\//, "").split("/");
  if (alias === undefined) throw conflict("Conflict, cannot remove the default link name of the container");
  const parent = context.containers.resolve(parentName);
  const links = (parent.links ?? []).filter((link) => link.alias !== alias);
  if (links.length === (parent.links ?? []).length)
    throw notFound(`Cannot get parent ${parentName} for name ${name}`);
  context.containers.update(parent.id, { links });
  openLinks(context, parent.id);
}
