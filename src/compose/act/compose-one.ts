/**
 * Containers that Docker Compose 1 made. Its hash is of another form than that of Compose 2, so they are compared with what
 * would be made: what is as its service wants stays.
 */
import type {
  ContainerConfig,
  ContainerCreateRequest,
  ContainerInspect,
  EndpointSettings,
  HostConfig,
} from "../../wire/container.ts";
import { isOfComposeOne, type Observed, type Session } from "../engine.ts";
import { firstByName, resolveReferences, type Observation } from "../plan.ts";
import { imageOf, type Project } from "../model/project.ts";
import { createRequest, type ContainerPlan } from "../request/create-request.ts";
import { linksOf } from "./links.ts";

/** Settings that are compared, or that change no container. A service with others is made anew. */
const known = new Set(
  (
    "build cap_add cap_drop command container_name cpu_shares cpus cpuset depends_on devices dns dns_search domainname " +
    "entrypoint environment expose external_links extra_hosts group_add healthcheck hostname image init labels links logging " +
    "mem_limit mem_reservation network_mode networks pid ports privileged profiles pull_policy read_only restart scale " +
    "security_opt stdin_open stop_grace_period stop_signal sysctls tmpfs tty ulimits user userns_mode volumes volumes_from " +
    "working_dir"
  ).split(" "),
);

/** Settings of the host's side that are shown as they were given, and mean nothing when they are empty. */
const hostSettings: readonly (keyof HostConfig)[] = [
  ...(["CapAdd", "CapDrop", "CpuShares", "CpusetCpus", "Devices", "Dns", "DnsSearch", "ExtraHosts"] as const),
  ...(["GroupAdd", "Init", "Memory", "MemoryReservation", "NanoCpus", "PidMode", "PortBindings"] as const),
  ...(["Privileged", "ReadonlyRootfs", "SecurityOpt", "Sysctls", "Tmpfs", "Ulimits", "UsernsMode"] as const),
];

/** Looks at every container of Docker Compose 1, and adds those that are as their services want to what was seen. */
export async function withComposeOne(
  { client }: Session,
  project: Project,
  seen: Observation,
): Promise<Observation> {
  const asWanted = new Set<string>();
  await Promise.all(
    seen.containers.filter(isOfComposeOne).map(async (container) => {
      const plan = planOf(project, seen, container);
      if (plan !== undefined && isAsWanted(plan, await client.containerInspect(container.id)))
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

/** True when a container is what the plan would make. */
export function isAsWanted(plan: ContainerPlan, found: ContainerInspect): boolean {
  const { image } = plan;
  if (image === undefined || found.Image !== image.Id) return false;
  const { request, connection } = createRequest(plan);
  const host = request.HostConfig ?? {};
  return (
    sameConfig(request, image.Config, found) &&
    hostSettings.every((key) => same(host[key], found.HostConfig[key])) &&
    same(modeOf(host), modeOf(found.HostConfig)) &&
    same(restartOf(host), restartOf(found.HostConfig)) &&
    same(sourcesOf(host), sourcesOf(found.HostConfig)) &&
    same(logOf(host, found.HostConfig), logOf(found.HostConfig, host)) &&
    sameMounts(plan, image.Config, found) &&
    sameLinks(plan, found) &&
    [...connection.endpoints].every(([name, endpoint]) => {
      const own = found.NetworkSettings.Networks[name];
      return own !== undefined && sameEndpoint(plan, endpoint, own);
    }) &&
    (connection.endpoints.size === 0 ||
      Object.keys(found.NetworkSettings.Networks).length === connection.endpoints.size)
  );
}

/** Nothing, however it is written, is the same as nothing; order counts in lists alone. */
function same(wanted: unknown, found: unknown): boolean {
  return JSON.stringify(normal(wanted)) === JSON.stringify(normal(found));
}

function normal(value: unknown): unknown {
  if (value === null || value === "" || value === false || value === 0) return undefined;
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map((each) => normal(each) ?? null);
  if (typeof value !== "object") return value;
  const entries = Object.entries(value)
    .map(([key, each]) => [key, normal(each) ?? null] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

const modeOf = ({ NetworkMode: mode = "" }: HostConfig): string => (mode === "default" ? "bridge" : mode);

const restartOf = ({ RestartPolicy: policy }: HostConfig): unknown =>
  ["no", ""].includes(policy?.Name ?? "") ? undefined : policy;

const sourcesOf = ({ VolumesFrom: sources }: HostConfig): string[] =>
  (sources ?? []).map((source) => source.replace(/:rw$/, ""));

/** Options of the log's driver, and the driver where the other side names one. */
const logOf = ({ LogConfig: log }: HostConfig, { LogConfig: other }: HostConfig): unknown => [
  log?.Config,
  (other?.Type ?? "") === "" || (log?.Type ?? "") === "" ? undefined : log?.Type,
];

function sameConfig(
  wanted: ContainerCreateRequest,
  image: ContainerConfig,
  { Id: id, Config: found }: ContainerInspect,
): boolean {
  const hasOwnProgram = same(wanted.Entrypoint, undefined);
  return (
    same(wanted.Cmd ?? (hasOwnProgram ? image.Cmd : undefined), found.Cmd) &&
    same(wanted.Entrypoint ?? image.Entrypoint, found.Entrypoint) &&
    same(wanted.WorkingDir ?? image.WorkingDir, found.WorkingDir) &&
    same(wanted.User ?? image.User, found.User) &&
    same(wanted.StopSignal ?? image.StopSignal, found.StopSignal) &&
    same(wanted.Healthcheck ?? image.Healthcheck, found.Healthcheck) &&
    same(wanted.Hostname ?? id.slice(0, 12), found.Hostname) &&
    same(wanted.Domainname, found.Domainname) &&
    same(wanted.Tty, found.Tty) &&
    same(wanted.OpenStdin, found.OpenStdin) &&
    same(wanted.StopTimeout, found.StopTimeout) &&
    same(variables(image.Env, wanted.Env), variables(found.Env)) &&
    same({ ...image.ExposedPorts, ...wanted.ExposedPorts }, found.ExposedPorts) &&
    same(foreignLabels({ ...image.Labels, ...wanted.Labels }), foreignLabels(found.Labels))
  );
}

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

/** What is mounted, by its place; volumes without a name have any. Those of the image may be there besides. */
function sameMounts(
  { project, service }: ContainerPlan,
  image: ContainerConfig,
  { Mounts: found }: ContainerInspect,
): boolean {
  const wanted = service.volumes ?? [];
  // Options of a mount are not all shown.
  const isPlain = wanted.every(({ bind = {}, volume }) => {
    const { create_host_path: _made, ...options } = bind;
    return same(options, {}) && same(volume, {});
  });
  if (!isPlain) return false;
  const byPlace = new Map(found.map((mount) => [mount.Destination, mount]));
  for (const { type, source = "", target, read_only: readOnly } of wanted) {
    const mount = byPlace.get(target);
    const name = type === "volume" ? (project.volumes[source]?.name ?? "") : source;
    if (mount === undefined || mount.Type !== type || mount.RW !== (readOnly !== true)) return false;
    if (name !== "" && name !== (type === "volume" ? mount.Name : mount.Source)) return false;
    if (name === "" && !/^[0-9a-f]{64}$/.test(mount.Name ?? "")) return false;
    byPlace.delete(target);
  }
  const isShared = service.volumes_from !== undefined;
  return [...byPlace.keys()].every((target) => isShared || image.Volumes?.[target] !== undefined);
}

function sameEndpoint(
  { containerName: name, links }: ContainerPlan,
  wanted: EndpointSettings,
  found: EndpointSettings,
): boolean {
  const aliases = (list: readonly string[] | null | undefined): string[] =>
    [...new Set(list)].filter((alias) => alias !== name && !/^[0-9a-f]{12}$/.test(alias)).sort();
  return (
    same(aliases(wanted.Aliases), aliases(found.Aliases)) &&
    same(links.toSorted(), [...(found.Links ?? [])].sort()) &&
    same(wanted.IPAMConfig, found.IPAMConfig) &&
    same(wanted.DriverOpts, found.DriverOpts) &&
    same(wanted.MacAddress ?? found.MacAddress, found.MacAddress)
  );
}

/** Links of the default bridge: the daemon shows them as `/container:/own/alias`. */
function sameLinks({ links }: ContainerPlan, { HostConfig: host }: ContainerInspect): boolean {
  const found = (host.Links ?? []).map((link) => link.replace(/^\//, "").replace(/:.*\//, ":"));
  return same(modeOf(host) === "bridge" ? links.toSorted() : [], found.sort());
}
