/**
 * Containers that Docker Compose 1 made. Its hash is of another form than that of Compose 2, so they are compared with what
 * would be made: what is as its service wants stays.
 */
import type {
  ContainerConfig,
  ContainerCreateRequest,
  ContainerInspect,
  EndpointSettings,
} from "../../wire/container.ts";
import { isOfComposeOne, type Observed, type Session } from "../engine.ts";
import { firstByName, resolveReferences, type Observation } from "../plan.ts";
import { imageOf, type Project } from "../model/project.ts";
import { createRequest, type ContainerPlan } from "../request/create-request.ts";
import type { Connection } from "../request/networks.ts";
import { daemonDefaults, modeOf, same, sameHostConfig, type DaemonDefaults } from "./compose-one-host.ts";
import { sameMounts } from "./compose-one-mounts.ts";
import { linksOf } from "./links.ts";

/** Settings whose effect is compared, or that change no container. A service with others is made anew. */
const known = new Set(
  (
    "build cap_add cap_drop cgroup_parent command container_name cpu_period cpu_quota cpu_shares cpus cpuset depends_on " +
    "device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint environment expose external_links extra_hosts " +
    "group_add healthcheck hostname image init ipc labels links logging mem_limit mem_reservation mem_swappiness " +
    "memswap_limit network_mode networks oom_kill_disable oom_score_adj pid pids_limit ports privileged profiles pull_policy " +
    "read_only restart runtime scale security_opt shm_size stdin_open stop_grace_period stop_signal sysctls tmpfs tty ulimits " +
    "user userns_mode volumes volumes_from working_dir"
  ).split(" "),
);

/** Looks at every container of Docker Compose 1, and adds those that are as their services want to what was seen. */
export async function withComposeOne(
  { client }: Session,
  project: Project,
  seen: Observation,
): Promise<Observation> {
  const asWanted = new Set<string>();
  const daemon = daemonDefaults(await client.info());
  await Promise.all(
    seen.containers.filter(isOfComposeOne).map(async (container) => {
      const plan = planOf(project, seen, container);
      if (plan !== undefined && isAsWanted(plan, await client.containerInspect(container.id), daemon))
        asWanted.add(container.id);
    }),
  );
  return { ...seen, asWanted };
}

/** What would be made in a container's place; undefined where that cannot be compared. */
function planOf(
  project: Project,
  seen: Observation,
  { service: name, number, name: ownName }: Observed,
): ContainerPlan | undefined {
  const own = project.services[name];
  if (own === undefined || Object.keys(own).some((key) => !known.has(key))) return undefined;
  const containersOf = (service: string): Observed[] =>
    seen.containers.filter((each) => each.service === service && !each.isOneOff);
  const service = resolveReferences(own, (other) => firstByName(containersOf(other))?.id);
  if (service === undefined || (own.container_name ?? ownName) !== ownName) return undefined;
  // Its names have underscores, whatever ours have.
  const links = linksOf({ ...project, separator: "_" }, service, {
    number,
    containersOf: (other) => containersOf(other).map((each) => each.name),
  });
  const image = seen.images.get(imageOf(project, name, own));
  return {
    project,
    name,
    service,
    number,
    containerName: ownName,
    image,
    links,
    useAliases: true,
    allNetworks: true,
  };
}

/** True when a container is what the plan would make; in doubt it is not. */
export function isAsWanted(plan: ContainerPlan, found: ContainerInspect, daemon: DaemonDefaults): boolean {
  const { image } = plan;
  if (image === undefined || found.Image !== image.Id) return false;
  const { request, connection } = createRequest(plan);
  return (
    sameConfig(request, image.Config, found) &&
    sameHostname(request.Hostname, found, daemon) &&
    sameHostConfig(request.HostConfig ?? {}, found.HostConfig, daemon) &&
    sameMounts(plan, image.Config, found) &&
    sameLinks(plan, found) &&
    sameNetworks(plan, connection, found)
  );
}

function sameConfig(
  wanted: ContainerCreateRequest,
  image: ContainerConfig,
  { Config: found }: ContainerInspect,
): boolean {
  const hasOwnProgram = same(wanted.Entrypoint, undefined);
  return (
    same(wanted.Cmd ?? (hasOwnProgram ? image.Cmd : undefined), found.Cmd) &&
    same(wanted.Entrypoint ?? image.Entrypoint, found.Entrypoint) &&
    same(wanted.WorkingDir ?? image.WorkingDir, found.WorkingDir) &&
    same(wanted.User ?? image.User, found.User) &&
    same(wanted.StopSignal ?? image.StopSignal, found.StopSignal) &&
    same(wanted.Healthcheck ?? image.Healthcheck, found.Healthcheck) &&
    same(wanted.Domainname, found.Domainname) &&
    same(wanted.Tty, found.Tty) &&
    same(wanted.OpenStdin, found.OpenStdin) &&
    (wanted.StopTimeout ?? null) === (found.StopTimeout ?? null) &&
    same(variables(image.Env, wanted.Env), variables(found.Env?.filter((entry) => !isAffinity(entry)))) &&
    same({ ...image.ExposedPorts, ...wanted.ExposedPorts }, found.ExposedPorts) &&
    same(foreignLabels({ ...image.Labels, ...wanted.Labels }), foreignLabels(found.Labels))
  );
}

/** A name that nobody gave is the daemon's to choose, and another one where the network is another's. */
function sameHostname(
  wanted: string | undefined,
  { Id: id, Config: { Hostname: found = "" }, HostConfig: host }: ContainerInspect,
  { hostName }: DaemonDefaults,
): boolean {
  const mode = modeOf(host);
  if (wanted !== undefined && wanted !== "") return found === wanted;
  // Docker refuses a name of one's own beside another container's network.
  if (mode.startsWith("container:")) return true;
  return mode === "host" ? found === "" || found === hostName : found === id.slice(0, 12);
}

/** What Compose 1 tells a swarm's scheduler of the container that a new one takes the place of. */
const isAffinity = (entry: string): boolean => entry.startsWith("affinity:container=");

/** Entries by the names of their variables; later lists win. */
function variables(...lists: (readonly string[] | null | undefined)[]): Record<string, string> {
  const byName: Record<string, string> = {};
  for (const entry of lists.flatMap((list) => list ?? [])) byName[entry.split("=", 1)[0]!] = entry;
  return byName;
}

/** Labels that are not compose's own. */
function foreignLabels(all: Readonly<Record<string, string>> | null | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(all ?? {}).filter(([key]) => !key.startsWith("com.docker.compose.")),
  );
}

function sameNetworks(
  plan: ContainerPlan,
  { networkMode, endpoints }: Connection,
  found: ContainerInspect,
): boolean {
  const { Networks: networks } = found.NetworkSettings;
  // An address that Compose 1 has asked for is the container's, not the endpoint's.
  const mac = found.Config.MacAddress ?? "";
  if (mac !== "" && !endpoints.values().some((endpoint) => endpoint.MacAddress === mac)) return false;
  const mode = modeOf({ NetworkMode: networkMode });
  const names = endpoints.size > 0 ? endpoints.keys() : mode.startsWith("container:") ? [] : [mode];
  return (
    same([...names].sort(), Object.keys(networks).sort()) &&
    endpoints.entries().every(([name, endpoint]) => sameEndpoint(plan, endpoint, found, networks[name]!))
  );
}

function sameEndpoint(
  { containerName: name, links }: ContainerPlan,
  wanted: EndpointSettings,
  { Id: id }: ContainerInspect,
  found: EndpointSettings,
): boolean {
  const aliases = (list: readonly string[] | null | undefined): string[] =>
    [...new Set(list)].filter((alias) => alias !== name && alias !== id.slice(0, 12)).sort();
  return (
    same(aliases(wanted.Aliases), aliases(found.Aliases)) &&
    same(links.toSorted(), [...(found.Links ?? [])].sort()) &&
    same(wanted.IPAMConfig, found.IPAMConfig) &&
    same(wanted.DriverOpts, found.DriverOpts) &&
    same(wanted.GwPriority, found.GwPriority) &&
    same(wanted.MacAddress ?? found.MacAddress, found.MacAddress)
  );
}

/** Links of the default bridge: the daemon shows them as `/container:/own/alias`. */
function sameLinks({ links }: ContainerPlan, { HostConfig: host }: ContainerInspect): boolean {
  const found = (host.Links ?? []).map((link) => link.replace(/^\//, "").replace(/:.*\//, ":"));
  return same(modeOf(host) === "bridge" ? links.toSorted() : [], found.sort());
}
