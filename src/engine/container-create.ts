import { hostname as osHostname } from "node:os";
import { appendFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { invalidArgument, notFound } from "../base/errors.ts";
import { crashpoint, failpoint } from "../base/failpoint.ts";
import { newId } from "../base/ids.ts";
import { nowRfc3339 } from "../base/time.ts";
import { type ContainerRecord, newContainerState } from "../container/container.ts";
import { jsonFilePath } from "../container/logging/container-logs.ts";
import { driverName } from "../container/logging/driver-options.ts";
import { validateCreate } from "../container/validate.ts";
import type { ImageRecord } from "../image/image.ts";
import { isUnpacked } from "../image/unpacked.ts";
import { isErrno } from "../linux/fs-error.ts";
import { syncDirectory } from "../linux/inode.ts";
import { mount, removeMountDirectory } from "../linux/mount.ts";
import { resolveInRoot } from "../linux/resolve-in-root.ts";
import { parsePlatform, platformMatches } from "../oci/platform.ts";
import type {
  ContainerConfig,
  ContainerCreateRequest,
  ContainerCreateResponse,
  EndpointSettings,
  HostConfig,
  MountPoint,
} from "../wire/container.ts";
import { reserveLabels, withSharedLabel } from "./container-labels.ts";
import { resolveMounts, type ResolvedMounts } from "./container-mounts.ts";
import { checkName, generateName } from "./container-name.ts";
import { checkEndpointSettings, checkTogether, findNetwork } from "./container-sandbox.ts";
import { emitContainer, type EngineContext } from "./context.ts";
import { withHostDefaults } from "./host-config-defaults.ts";
import { findLinks } from "./links.ts";
import { mergeConfig } from "./merge-config.ts";
import { containerPaths } from "./paths.ts";
import { checkRemapped, idMapOf } from "./remapped.ts";
import { withContainerIds } from "./shared-namespaces.ts";
import { parseContainerPort, portRequests } from "./port-requests.ts";
import { useVolume } from "./volume-mounts.ts";

/**
 * Makes a container: image and request are merged, the writable layer is prepared, the record is stored last. Nothing
 * of the kernel's is taken yet. All or nothing. Throws `invalidArgument` for a request that makes no sense, `notFound`
 * for image or network, `conflict` for a name in use, `notImplemented` for what is not served.
 */
export async function containerCreate(
  context: EngineContext,
  options: { name: string | undefined; platform: string | undefined; request: ContainerCreateRequest },
): Promise<ContainerCreateResponse> {
  // A start is likely to follow at once: what can be got ready meanwhile is.
  context.monitor.prepare();
  const { HostConfig: hostRequest, NetworkingConfig: networking, ...configRequest } = options.request;
  const warnings = validateCreate(configRequest, hostRequest ?? {});
  const name = options.name
    ? checkName(options.name)
    : generateName((n) => context.containers.byName(n) !== undefined);
  // insert refuses it, too; asking first saves making and unmaking a layer.
  context.containers.requireFreeName(name);
  const image = findImage(context, configRequest.Image ?? "", options.platform);
  requireLayers(context, image, configRequest.Image ?? "");
  const hostConfig = completeHostConfig(context, hostRequest ?? {});
  using labels = reserveLabels(context, hostConfig);
  checkRemapped(idMapOf(context, hostConfig), hostConfig);
  context.runtimes.get(hostConfig.Runtime!);
  const id = newId();
  // A check takes the layer and the directory for leftovers while nobody holds this and no record names them.
  using _ = await context.locks.acquire(id);
  const config = finishConfig(id, mergeConfig(configRequest, image.config.config ?? {}), hostConfig);
  portRequests(config, hostConfig, context.config.publishIp);
  const links = findLinks(context, hostConfig);
  const endpoints = chooseEndpoints(context, hostConfig, networking?.EndpointsConfig ?? {});

  await using undo = new AsyncDisposableStack();
  context.snapshotter.prepare(id, image.chainId);
  undo.defer(() => undoLayer(context, id));
  failpoint("container-create.after-snapshot");
  const paths = containerPaths(context.config, id);
  mkdirSync(paths.directory, { recursive: true, mode: 0o710 });
  undo.defer(() => rmSync(paths.directory, { recursive: true, force: true }));
  failpoint("container-create.after-directory");
  const mountLabel = labels.mountLabel;
  const { mounts, unowned } = await makeMounts(context, { id, config, hostConfig, mountLabel }, undo);
  const [path = "", ...args] = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  const record: ContainerRecord = {
    id,
    name,
    createdAt: nowRfc3339(),
    imageId: image.id,
    image: configRequest.Image ?? "",
    path,
    args,
    config,
    // What inspect shows of links is made of where they lead now.
    hostConfig: { ...hostConfig, Links: null },
    endpoints,
    mounts,
    ...(links.length > 0 && { links }),
    ...(mountLabel !== "" && { processLabel: labels.processLabel, mountLabel }),
    runtime: hostConfig.Runtime!,
    snapshotDriver: context.snapshotter.name,
    logPath: driverName(hostConfig.LogConfig) === "json-file" ? jsonFilePath(paths.directory, id) : "",
    restartCount: 0,
    state: newContainerState,
  };
  failpoint("container-create.before-record");
  context.containers.insert(record);
  crashpoint("container-create.recorded");
  if (unowned.length > 0) rmSync(paths.unownedVolumes, { force: true });
  undo.move();
  emitContainer(context, record, "create");
  return { Id: id, Warnings: warnings };
}

/** What cannot be removed at once is tried again: no record would tell anybody of it. */
async function undoLayer(context: EngineContext, id: string): Promise<void> {
  await context.leftovers.run(`layer of ${id}`, `remove the layer of ${id}, which was not made`, () =>
    context.snapshotter.remove(id),
  );
}

/** What was asked for, with what is the default of this daemon and of the containers that it refers to. */
function completeHostConfig(context: EngineContext, request: HostConfig): HostConfig {
  const completed = withHostDefaults(withContainerIds(context, request), {
    runtime: context.runtimes.defaultName,
    logging: context.config.logging,
    cgroupVersion: context.cgroups.version,
    // Without a bridge (`--bridge none`) a container that asked for no network has none.
    networkMode: context.network.bridgeName === "none" ? "none" : "bridge",
    host: context.config.hostDefaults,
  });
  return withSharedLabel(context, completed);
}

interface NewContainer {
  readonly id: string;
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly mountLabel: string;
}

/** Makes the volumes, with what the image has in them. `unowned` are those that only the container's record will name. */
async function makeMounts(
  context: EngineContext,
  { id, config, hostConfig, mountLabel }: NewContainer,
  undo: AsyncDisposableStack,
): Promise<{ readonly mounts: MountPoint[]; readonly unowned: readonly string[] }> {
  const { unownedVolumes } = containerPaths(context.config, id);
  // Until the record names them nothing else would tell a crash's next daemon whose they are.
  const noteAnonymous = (volume: string): void => appendFileSync(unownedVolumes, `${volume}\n`);
  const resolved = await resolveMounts(context, config, hostConfig, { undo, noteAnonymous });
  failpoint("container-create.after-volumes");
  const { mounts } = resolved;
  const unowned = mounts.flatMap(({ Name }) =>
    Name !== undefined && context.volumes.isAnonymous(Name) ? [Name] : [],
  );
  await fillVolumes(context, id, resolved);
  for (const { Name, Source } of mounts)
    if (Name !== undefined && unowned.includes(Name))
      await context.labelling?.relabelOwn(Source, mountLabel, true);
  return { mounts, unowned };
}

function findImage(context: EngineContext, reference: string, platform: string | undefined): ImageRecord {
  if (reference === "") throw invalidArgument("no image specified: give the image's name or id");
  const image = context.images.resolve(reference);
  if (platform !== undefined && platform !== "" && !platformMatches(parsePlatform(platform), image.config))
    throw notFound(
      `image with reference ${reference} was found but its platform (${image.config.os}/${image.config.architecture}) does not match the specified platform (${platform})`,
    );
  return image;
}

/** "Not found" has command lines pull it, which mends it. */
function requireLayers({ snapshotter }: EngineContext, image: ImageRecord, reference: string): void {
  if (isUnpacked(snapshotter, image)) return;
  throw notFound(
    `image ${reference} is broken: its layers are not on the disk, and not all of its blobs are there to unpack them from`,
    { hint: "Pull or load it again; 'gantry system check' says what is missing." },
  );
}

/** Fields that depend on the id or on the host config. */
function finishConfig(id: string, config: ContainerConfig, hostConfig: HostConfig): ContainerConfig {
  const mode = hostConfig.NetworkMode ?? "bridge";
  const published = Object.keys(hostConfig.PortBindings ?? {});
  const exposed: Record<string, Record<string, never>> = {};
  for (const key of [...Object.keys(config.ExposedPorts ?? {}), ...published]) {
    const { port, protocol } = parseContainerPort(key);
    exposed[`${port}/${protocol}`] = {};
  }
  return {
    ...config,
    Hostname: config.Hostname || (mode === "host" ? osHostname() : id.slice(0, 12)),
    ...(Object.keys(exposed).length > 0 ? { ExposedPorts: exposed } : {}),
  };
}

/**
 * Which networks the container will be on, by name, that of the mode first. As with Docker they need not be there before
 * the start: a 404 at create means a missing image to clients, which would then pull it.
 */
function chooseEndpoints(
  context: EngineContext,
  hostConfig: HostConfig,
  asked: Record<string, EndpointSettings | null>,
): Record<string, EndpointSettings> {
  const mode = hostConfig.NetworkMode ?? "bridge";
  if (mode.startsWith("container:")) {
    const shared = { isUserDefined: false, userSubnets: undefined };
    for (const [name, settings] of Object.entries(asked))
      checkEndpointSettings(settings ?? {}, shared, `invalid config for network ${name}: `);
    return {};
  }
  const endpoints: Record<string, EndpointSettings> = {};
  const nameOf = (text: string): string => findNetwork(context, text)?.name ?? text;
  // A client that names endpoints means these alone: the mode's network is left out that it does not name.
  const named = Object.keys(asked).map((text) => nameOf(text === "default" ? mode : text));
  const isShared = mode === "host" || mode === "none";
  if (isShared || named.length === 0 || named.includes(nameOf(mode))) endpoints[nameOf(mode)] = {};
  for (const [i, settings] of Object.values(asked).entries()) endpoints[named[i]!] = settings ?? {};
  const first = endpoints[nameOf(mode)];
  // Clients of Docker's old API give them here for any network.
  if (first !== undefined && findNetwork(context, mode)?.isUserDefined && (hostConfig.Links ?? []).length > 0)
    endpoints[nameOf(mode)] = { ...first, Links: first.Links ?? hostConfig.Links };
  for (const [name, settings] of Object.entries(endpoints))
    checkEndpointSettings(settings, findNetwork(context, name), `invalid config for network ${name}: `);
  checkTogether(mode, Object.keys(endpoints));
  return endpoints;
}

/** The files that each start mounts there: on a read-only volume they could not be made. Docker's roots have them. */
function makeNameFiles(directory: string): void {
  if (!existsSync(directory)) return;
  for (const name of ["hostname", "hosts", "resolv.conf"])
    try {
      writeFileSync(join(directory, name), "", { flag: "wx" });
    } catch (error) {
      if (!isErrno(error, "EEXIST", "ENOTDIR")) throw error;
    }
}

/** Docker's copy-up: an empty volume gets what the image has at the mount point, before the first start. */
async function fillVolumes(
  context: EngineContext,
  id: string,
  { mounts, copyUp }: ResolvedMounts,
): Promise<void> {
  const wanted = mounts.filter((m) => m.Type === "volume" && copyUp.has(m.Name!));
  if (wanted.length === 0) return;
  const { rootfs, bundle } = containerPaths(context.config, id);
  mkdirSync(rootfs, { recursive: true });
  try {
    for (const layer of context.snapshotter.mounts(id)) mount(layer, rootfs);
    for (const m of wanted) {
      const source = resolveInRoot(rootfs, m.Destination);
      if (m.Destination === "/etc") makeNameFiles(source);
      await using used = await useVolume(context, m.Name!, id);
      context.volumes.copyUp(used.path, source);
      await syncDirectory(used.path);
      failpoint("container-create.volume-filled");
    }
  } finally {
    removeMountDirectory(bundle);
  }
}
