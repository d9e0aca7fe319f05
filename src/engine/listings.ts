import { invalidArgument } from "../base/errors.ts";
import type { NetworkInspect } from "../wire/network.ts";
import { log } from "../base/log.ts";
import type { Filters } from "../wire/system.ts";
import type { VolumeInspect } from "../wire/volume.ts";
import type { EngineContext } from "./context.ts";
import { checkFilterKeys, filterBoolean, filterValues, matchesText, matchLabels } from "./filters.ts";
import { hostEndpointId } from "./network-settings.ts";

const networkKeys = new Set("dangling driver id label name scope type".split(" "));
const volumeKeys = new Set("dangling driver label name".split(" "));

const anyOf = (wanted: readonly string[], test: (value: string) => boolean): boolean =>
  wanted.length === 0 || wanted.some(test);

/** Networks with the containers that are on them now. Throws `invalidArgument` for a filter. */
export async function networkList(context: EngineContext, filters: Filters): Promise<NetworkInspect[]> {
  checkFilterKeys(filters, networkKeys);
  for (const type of filterValues(filters, "type"))
    if (type !== "custom" && type !== "builtin") throw invalidArgument(`invalid filter: 'type'='${type}'`);
  const dangling = filterBoolean(filters, "dangling");
  const builtin = new Set(["bridge", "host", "none"]);
  const hasContainers = (id: string): boolean => context.network.members(id).length > 0;
  return context.network
    .list()
    .filter(
      (network) =>
        anyOf(filterValues(filters, "id"), (id) => matchesText(network.Id, id)) &&
        anyOf(filterValues(filters, "name"), (name) => matchesText(network.Name, name)) &&
        anyOf(filterValues(filters, "driver"), (driver) => network.Driver === driver) &&
        anyOf(filterValues(filters, "scope"), (scope) => network.Scope === scope) &&
        anyOf(filterValues(filters, "type"), (type) => (type === "builtin") === builtin.has(network.Name)) &&
        matchLabels(network.Labels ?? {}, filterValues(filters, "label")) &&
        (dangling === undefined || dangling === (!builtin.has(network.Name) && !hasContainers(network.Id))),
    )
    .map((network) => withHostContainers(context, network));
}

/** One network with the containers that are on it now. */
export async function networkInspect(context: EngineContext, nameOrId: string): Promise<NetworkInspect> {
  return withHostContainers(context, context.network.inspect(nameOrId));
}

/** Containers in the host's namespace have no endpoint that the network could know of. */
function withHostContainers(context: EngineContext, network: NetworkInspect): NetworkInspect {
  if (network.Driver !== "host") return network;
  const containers: NonNullable<NetworkInspect["Containers"]> = {};
  for (const { id, name, endpoints, state } of context.containers.list())
    if (Object.hasOwn(endpoints, network.Name) && state.pid !== 0)
      containers[id] = { Name: name, EndpointID: hostEndpointId(id), ...noAddresses };
  return { ...network, Containers: containers };
}

const noAddresses = { MacAddress: "", IPv4Address: "", IPv6Address: "" };

/** Volumes. Throws `invalidArgument` for a filter. */
export async function volumeList(
  context: EngineContext,
  filters: Filters,
): Promise<{ volumes: VolumeInspect[]; warnings: string[] }> {
  checkFilterKeys(filters, volumeKeys);
  const dangling = filterBoolean(filters, "dangling");
  const used = new Set(
    context.containers.list().flatMap((container) => container.mounts.map((mount) => mount.Name)),
  );
  const { volumes, warnings } = await context.volumes.list();
  for (const warning of warnings) log.warn(warning);
  return {
    warnings,
    volumes: volumes.filter(
      (volume) =>
        anyOf(filterValues(filters, "name"), (name) => matchesText(volume.Name, name)) &&
        anyOf(filterValues(filters, "driver"), (driver) => volume.Driver === driver) &&
        matchLabels(volume.Labels ?? {}, filterValues(filters, "label")) &&
        (dangling === undefined || dangling === !used.has(volume.Name)),
    ),
  };
}

export async function volumeInspect(context: EngineContext, name: string): Promise<VolumeInspect> {
  return context.volumes.inspect(name);
}
