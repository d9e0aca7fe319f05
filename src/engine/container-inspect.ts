import type { ContainerRecord } from "../container/container.ts";
import type { HealthState } from "../container/health.ts";
import type { ContainerInspect, ContainerStateJson, HealthJson } from "../wire/container.ts";
import type { EngineContext } from "./context.ts";
import { findNetwork } from "./container-sandbox.ts";
import { shownLinks } from "./links.ts";
import { knownNameFilePaths } from "./network-files.ts";
import { networkSettings } from "./network-settings.ts";
import { containerPaths } from "./paths.ts";
import { shownProfile } from "../container/apparmor.ts";
import { shownMounts } from "./prepared-mounts.ts";

/** Everything about one container. With `size`, the bytes of its writable layer and of its whole root. Throws `notFound`. */
export async function containerInspect(
  context: EngineContext,
  nameOrId: string,
  options: { readonly size: boolean },
): Promise<ContainerInspect> {
  const container = context.containers.resolve(nameOrId);
  const files = knownNameFilePaths(context, container);
  const started = container.state.status !== "created";
  const execIds = context.execs
    .ofContainer(container.id)
    .filter((exec) => exec.status !== "exited")
    .map((exec) => exec.id);
  return {
    Id: container.id,
    Created: container.createdAt,
    Path: container.path,
    Args: [...container.args],
    State: stateJson(container),
    Image: container.imageId,
    ResolvConfPath: started ? files.resolvConf : "",
    HostnamePath: started ? files.hostname : "",
    HostsPath: started ? files.hosts : "",
    LogPath: started ? container.logPath : "",
    Name: `/${container.name}`,
    RestartCount: container.restartCount,
    Driver: container.snapshotDriver,
    Platform: "linux",
    MountLabel: container.mountLabel ?? "",
    ProcessLabel: container.processLabel ?? "",
    AppArmorProfile: started ? shownProfile(container.hostConfig) : "",
    ExecIDs: execIds.length > 0 ? execIds : null,
    HostConfig: { ...container.hostConfig, Links: shownLinks(context, container) },
    GraphDriver: { Data: graphData(context, container.id), Name: context.snapshotter.name },
    ...(options.size ? await sizes(context, container) : {}),
    Mounts: shownMounts(container.mounts),
    Config: withMacAddress(container),
    NetworkSettings: networkSettings(container, context.network.get(container.id), (name) =>
      networkId(context, name),
    ),
  };
}

/** Docker shows the address that was asked for the first network here too, wherever the client gave it. */
function withMacAddress({ config, hostConfig, endpoints }: ContainerRecord): ContainerRecord["config"] {
  const asked = endpoints[hostConfig.NetworkMode ?? ""]?.MacAddress ?? "";
  return asked === "" || config.MacAddress ? config : { ...config, MacAddress: asked };
}

/** The snapshot's directories, and where all layers are seen as one while the container runs. */
function graphData(context: EngineContext, id: string): Record<string, string> {
  const data = context.snapshotter.graphData(id);
  return "UpperDir" in data ? { ...data, MergedDir: containerPaths(context.config, id).rootfs } : data;
}

/** Bytes of the writable layer (`SizeRw`) and of that plus the image (`SizeRootFs`). */
export async function sizes(
  context: EngineContext,
  container: ContainerRecord,
): Promise<{ SizeRw: number; SizeRootFs: number }> {
  const { sizeBytes } = await context.snapshotter.usage(container.id);
  const imageBytes = context.images.byId(container.imageId)?.sizeBytes ?? 0;
  return { SizeRw: sizeBytes, SizeRootFs: sizeBytes + imageBytes };
}

/** The id of a network, empty when there is none of that name. */
export function networkId(context: EngineContext, name: string): string {
  return findNetwork(context, name)?.id ?? "";
}

function healthJson({ status, failingStreak, log }: HealthState): HealthJson {
  return { Status: status, FailingStreak: failingStreak, Log: [...log] };
}

function stateJson(container: ContainerRecord): ContainerStateJson {
  const { state } = container;
  const { status } = state;
  return {
    Status: status,
    // A container that waits for its policy's restart counts as running (Docker's State.Running).
    Running: status === "running" || status === "paused" || status === "restarting",
    Paused: status === "paused",
    Restarting: status === "restarting",
    OOMKilled: state.oomKilled,
    Dead: status === "dead",
    Pid: state.pid,
    ExitCode: state.exitCode,
    Error: state.error,
    StartedAt: state.startedAt,
    FinishedAt: state.finishedAt,
    ...(state.health === undefined ? {} : { Health: healthJson(state.health) }),
  };
}
