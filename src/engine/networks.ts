/** Networks: made, removed, and given to and taken from containers, running or not. */
import { EngineError, invalidArgument, isKind, notFound } from "../base/errors.ts";
import { failpoint } from "../base/failpoint.ts";
import type { ContainerRecord } from "../container/container.ts";
import type { Endpoint } from "../network/network.ts";
import type { EndpointSettings } from "../wire/container.ts";
import type { NetworkCreateRequest, NetworkCreateResponse } from "../wire/network.ts";
import {
  checkEndpointSettings,
  checkTogether,
  endpointRequest,
  requireOwnNetwork,
  requireStaying,
} from "./container-sandbox.ts";
import type { EngineContext } from "./context.ts";

const hostStays = "container cannot be disconnected from host network or connected to host network";

/** Makes a network. Throws as `NetworkManager.create`. */
export async function networkCreate(
  context: EngineContext,
  request: NetworkCreateRequest,
): Promise<NetworkCreateResponse> {
  const network = await context.network.create(request);
  context.events.emit("network", "create", network.id, { name: network.name, type: network.driver });
  return { Id: network.id, Warning: "" };
}

/** Removes a network that no running container is on. */
export async function networkRemove(context: EngineContext, nameOrId: string): Promise<void> {
  const { id, name, driver } = await context.network.remove(nameOrId);
  context.events.emit("network", "destroy", id, { name, type: driver });
}

/** Tells that a container came to a network, or left it. */
export function emitNetwork(
  context: EngineContext,
  action: "connect" | "disconnect",
  containerId: string,
  { networkId, networkName, driver }: Endpoint,
): void {
  context.events.emit("network", action, networkId, {
    container: containerId,
    name: networkName,
    type: driver,
  });
}

/**
 * Connects a container to a network: at once when it runs, else with its next start. Throws `notFound` for either,
 * `permissionDenied` when it is on it already, `invalidArgument` and `conflict` in Docker's words.
 */
export async function networkConnect(
  context: EngineContext,
  networkNameOrId: string,
  request: { readonly container: string; readonly settings: EndpointSettings },
): Promise<void> {
  const { id } = context.containers.resolve(request.container);
  const network = context.network.find(networkNameOrId);
  using _ = await context.locks.acquire(id);
  // It may have gone while others had the lock; so may the network, which the manager says.
  const container = context.containers.resolve(id);
  requireStaying(container);
  if (network.driver === "host") throw invalidArgument(hostStays);
  requireOwnNetwork(container);
  if (network.isConfigOnly)
    throw new EngineError(
      "permissionDenied",
      `cannot connect container to network ${network.name}: it is a configuration only network`,
    );
  const { settings } = request;
  checkEndpointSettings(settings, network);
  if (Object.hasOwn(container.endpoints, network.name))
    throw new EngineError(
      "permissionDenied",
      `endpoint with name ${container.name} already exists in network ${network.name}`,
    );
  const endpoints = { ...container.endpoints, [network.name]: asked(settings) };
  checkTogether(container.hostConfig.NetworkMode ?? "", Object.keys(endpoints));
  if (!isUp(container) || network.driver === "null") {
    context.containers.update(id, { endpoints });
    return;
  }
  const endpoint = await context.network.connect(
    id,
    endpointRequest(context, container, [network.name, settings]),
  );
  failpoint("network-connect.before-record");
  try {
    context.containers.update(id, { endpoints });
  } catch (error) {
    await context.network.disconnect(id, network.id);
    throw error;
  }
  emitNetwork(context, "connect", id, endpoint);
}

/** What is kept of the settings: what was asked, not what an older answer of inspect said about addresses. */
function asked({
  IPAMConfig,
  Links,
  Aliases,
  MacAddress,
  DriverOpts,
  GwPriority,
}: EndpointSettings): EndpointSettings {
  return {
    ...(IPAMConfig && { IPAMConfig }),
    ...(Links && { Links }),
    ...(Aliases && { Aliases }),
    ...(MacAddress && { MacAddress }),
    ...(DriverOpts && { DriverOpts }),
    ...(GwPriority && { GwPriority }),
  };
}

function isUp({ state: { status } }: ContainerRecord): boolean {
  return status === "running" || status === "paused";
}

/**
 * Takes a network from a container. Throws `notFound` for either, and when it is not on it; `force` changes the words for
 * a container that is gone.
 */
export async function networkDisconnect(
  context: EngineContext,
  networkNameOrId: string,
  request: { readonly container: string; readonly force: boolean },
): Promise<void> {
  const network = context.network.find(networkNameOrId);
  let id: string;
  try {
    ({ id } = context.containers.resolve(request.container));
  } catch (error) {
    // With Docker one that is gone may still have an endpoint; here none is left of it.
    if (request.force && isKind(error, "notFound"))
      throw notFound(`endpoint ${request.container} not found`, { cause: error });
    throw error;
  }
  using _ = await context.locks.acquire(id);
  const container = context.containers.resolve(id);
  requireStaying(container);
  if (!Object.hasOwn(container.endpoints, network.name))
    throw notFound(`container ${id} is not connected to network ${network.name}`);
  if (network.driver === "host") throw invalidArgument(hostStays);
  const { [network.name]: _left, ...endpoints } = container.endpoints;
  // The record first: what a crash leaves of the endpoint then belongs to nobody, and goes at the next start.
  context.containers.update(id, { endpoints });
  const endpoint = context.network.get(id)?.endpoints.find(({ networkId }) => networkId === network.id);
  if (endpoint === undefined) return;
  try {
    failpoint("network-disconnect.recorded");
    await context.network.disconnect(id, network.id);
  } catch (error) {
    context.containers.update(id, { endpoints: container.endpoints });
    throw error;
  }
  emitNetwork(context, "disconnect", id, endpoint);
}

/** Start-up: endpoints that a container's record does not name were being made or removed when the daemon was cut off. */
export async function dropUnrecordedEndpoints(context: EngineContext): Promise<void> {
  for (const { containerId, endpoints } of context.network.sandboxes()) {
    const container = context.containers.byId(containerId);
    if (container === undefined) continue;
    for (const { networkId, networkName } of endpoints)
      if (!Object.hasOwn(container.endpoints, networkName))
        await context.network.disconnect(containerId, networkId);
  }
}
