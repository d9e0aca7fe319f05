/**
 * Composition root of the daemon: reads the options, picks the drivers, wires the rooms together and minds the
 * process's signals. Nothing else decides where things lie or which driver is used.
 */
import { rmSync, writeFileSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { hasGroup } from "./api/listen.ts";
import { createApiServer, type ApiServer } from "./api/server.ts";
import type { Database } from "./base/database.ts";
import { DiskReserve } from "./base/disk-reserve.ts";
import { EngineError, errorText } from "./base/errors.ts";
import type { InheritedSocket } from "./base/inherited-socket.ts";
import { log, setLogLevel } from "./base/log.ts";
import type { ParsedArguments } from "./cli/parser.ts";
import type { Builder } from "./build/build.ts";
import { createBuilder } from "./build/builder.ts";
import { parseBuilderSettings } from "./build/gc-policy.ts";
import { builtIndex } from "./build/built-indexes.ts";
import { CacheStore } from "./build/cache-store.ts";
import type { BuildHost } from "./build/host.ts";
import { openRecords } from "./daemon-records.ts";
import { claimRoots } from "./daemon-roots.ts";
import { networkConfig } from "./daemon-network-options.ts";
import { createMonitor } from "./container/conmon.ts";
import { createContainerStore } from "./container/container-store.ts";
import { RecordCopies } from "./container/record-copies.ts";
import { openLabelling } from "./container/labelling.ts";
import { ContainerLogs } from "./container/logging/container-logs.ts";
import { findRuntimes, type Runtimes } from "./container/runtime.ts";
import { FsContentStore } from "./content/fs-content-store.ts";
import {
  daemonOptionRules,
  type DaemonOptions,
  mergeDaemonOptions,
  readConfigFile,
  reloadableOptions,
} from "./daemon-config.ts";
import { adjustOomScore, containerConfig } from "./daemon-container-options.ts";
import { type DaemonStart, daemonStart } from "./daemon-flags.ts";
import { rethrowStartFailure } from "./daemon-start-failure.ts";
import { readServerTls } from "./daemon-tls.ts";
import { apiVersion, type EngineConfig, engineVersion, minApiVersion } from "./engine/config.ts";
import { createContext, type EngineContext } from "./engine/context.ts";
import { createEngine } from "./engine/create-engine.ts";
import { EventBus } from "./engine/event-bus.ts";
import { EventJournal } from "./engine/event-journal.ts";
import { stopHealthChecks } from "./engine/health-checks.ts";
import type { Engine } from "./engine/engine.ts";
import { withHostDefaults } from "./engine/host-config-defaults.ts";
import { daemonId } from "./engine/info.ts";
import { followNetworks, serveNames } from "./engine/name-service.ts";
import { containerPaths } from "./engine/paths.ts";
import { recover, startByPolicy } from "./engine/recover.ts";
import { stopAll } from "./engine/stop-all.ts";
import { ImageCopies } from "./image/image-copies.ts";
import { createImageStore } from "./image/image-store.ts";
import { detectCgroups, leaveRootCgroup, removeCgroupIfEmpty } from "./linux/cgroup.ts";
import { descriptorLimit } from "./linux/descriptor-limit.ts";
import { keepResidentMemorySmall } from "./linux/resident-memory.ts";
import { type ServiceManager, takeServiceManager } from "./linux/service-manager.ts";
import { claimBridge } from "./network/bridge-claim.ts";
import { createNetworkManager } from "./network/manager.ts";
import { createSnapshotter } from "./snapshot/create-snapshotter.ts";
import { createVolumeStore } from "./volume/volume-store.ts";
import { parseUserRemap } from "./user-remap.ts";

/** `gantry daemon`: runs until told to stop; a start that fails says why on standard error. Resolves with the exit code. */
export async function daemonCommand(parsed: ParsedArguments): Promise<number> {
  try {
    const start = daemonStart(parsed);
    if (!parsed.bool("validate")) return await runDaemon(start);
    containerConfig(
      mergeDaemonOptions(start.flags, readConfigFile(start.configFile, start.configFileRequired)),
    );
    process.stderr.write("configuration OK\n");
    return 0;
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    process.stderr.write(
      `gantry daemon: ${error.message}${error.hint === undefined ? "" : `\n${error.hint}`}\n`,
    );
    return 1;
  }
}

/** Runs the daemon until it is told to stop. Resolves with the process's exit code. */
export async function runDaemon(start: DaemonStart): Promise<number> {
  const options = mergeDaemonOptions(start.flags, readConfigFile(start.configFile, start.configFileRequired));
  if (process.getuid?.() !== 0)
    throw new EngineError(
      "permissionDenied",
      "the daemon needs root: it makes namespaces, mounts and firewall rules",
      {
        hint: "Run it with sudo.",
      },
    );
  setLogLevel(options.debug ? "debug" : options.logLevel);
  const manager = takeServiceManager();
  process.umask(0o022);
  adjustOomScore(options.oomScoreAdjust);
  leaveRootCgroup(detectCgroups());
  try {
    claimRoots(options);
  } catch (error) {
    rethrowStartFailure(error);
  }
  using _bridge = options.bridge === "none" ? undefined : await claimBridge(options.bridge);
  const { database, context, engine, builder } = await prepare(options).catch(rethrowStartFailure);
  const { config } = context;
  const api = createApiServer({
    engine,
    builder,
    versionInfo: { version: engineVersion, apiVersion, minApiVersion },
    descriptorLimit,
  });
  try {
    await listen(api, options, { start, inherited: manager.sockets });
  } catch (error) {
    await shutDown({ api, context, options });
    throw error;
  }
  writeFileSync(options.pidfile, `${process.pid}\n`);
  announceReady();
  await manager.notify("ready");
  log.info("daemon is ready", { version: engineVersion, dataRoot: options.dataRoot });
  minimiseSurprises();
  process.on("SIGHUP", () => void reload({ context, config, start, manager }));
  void startContainers(context, options);
  keepResidentMemorySmall();
  await stopSignal();
  await manager.notify("stopping");
  await shutDown({ api, context, options });
  rmSync(options.pidfile, { force: true });
  context.containers.close();
  database.close();
  return 0;
}

/** Opens what is in the directories and takes over what runs: everything that is done before the first request. */
async function prepare(options: DaemonOptions): Promise<Prepared> {
  // First: on a full disk it gives the rest some room.
  const reserve = new DiskReserve(join(options.dataRoot, "reserve"));
  const database = openRecords(options.dataRoot);
  const buildCache = new CacheStore(database);
  const context = await assemble(options, { database, buildCache, reserve });
  serveNames(context);
  followNetworks(context);
  await recover(context);
  const engine = createEngine(context);
  const builder = await createBuilder(buildHost(context, engine, options), buildCache);
  return { database, context, engine, builder };
}

interface Prepared {
  readonly database: Database;
  readonly context: EngineContext;
  readonly engine: Engine;
  readonly builder: Builder;
}

/** Without live restore containers that a killed daemon left running are stopped first, as with Docker. */
async function startContainers(context: EngineContext, options: DaemonOptions): Promise<void> {
  try {
    if (!options.liveRestore) await stopAll(context, options.shutdownTimeoutSeconds);
    if (options.autoRestart) await startByPolicy(context);
  } catch (error) {
    log.error("could not start containers for their restart policies", { error: errorText(error) });
  }
}

function engineConfig(options: DaemonOptions): EngineConfig {
  return {
    dataRoot: options.dataRoot,
    execRoot: options.execRoot,
    hosts: options.hosts,
    cgroupParent: options.cgroupParent,
    defaultRuntime: options.defaultRuntime || undefined,
    dns: options.dns,
    dnsOptions: options.dnsOptions,
    dnsSearch: options.dnsSearch,
    hostGatewayIps: options.hostGatewayIps,
    publishIp: options.ip === "0.0.0.0" ? "" : options.ip,
    defaultAddressPools: options.defaultAddressPools,
    debug: options.debug,
    logging: { Type: options.logDriver, Config: options.logOptions },
    labels: options.labels,
    insecureRegistries: options.insecureRegistries,
    registryMirrors: options.registryMirrors,
    maxConcurrentDownloads: options.maxConcurrentDownloads,
    maxConcurrentUploads: options.maxConcurrentUploads,
    maxDownloadAttempts: options.maxDownloadAttempts,
    idMap: parseUserRemap(options.userNamespaceRemap),
    cdiDirectories: options.cdiSpecDirs,
    liveRestore: options.liveRestore,
    shutdownTimeoutSeconds: options.shutdownTimeoutSeconds,
    ...containerConfig(options),
  };
}

/** Picks the drivers. A missing program or a kernel that lacks something ends the start with a sentence. */
async function assemble(
  options: DaemonOptions,
  parts: { readonly database: Database; readonly buildCache: CacheStore; readonly reserve: DiskReserve },
): Promise<EngineContext> {
  const { dataRoot, execRoot } = options;
  const { database, buildCache, reserve } = parts;
  const config = engineConfig(options);
  const content = new FsContentStore(join(dataRoot, "content"), "soon");
  return createContext({
    config,
    database,
    content,
    containers: createContainerStore(database, {
      reserve,
      copies: new RecordCopies(join(dataRoot, "containers")),
    }),
    images: createImageStore(database, new ImageCopies(join(dataRoot, "images"))),
    snapshotter: createSnapshotter({
      driver: options.storageDriver || undefined,
      root: join(dataRoot, "snapshots"),
    }),
    volumes: createVolumeStore(database, join(dataRoot, "volumes")),
    network: createNetworkManager({
      database,
      execRoot,
      config: networkConfig(options),
    }),
    monitor: createMonitor({ execRoot }),
    logs: new ContainerLogs((id) => {
      const { directory, rawLog } = containerPaths(config, id);
      return { directory, raw: rawLog };
    }),
    runtimes: await configuredRuntimes(options),
    events: new EventBus(new EventJournal(join(dataRoot, "events.jsonl"))),
    cgroups: detectCgroups(),
    labelling: openLabelling(options.selinuxEnabled),
    buildPins: () => buildCache.pins(),
    builtIndex: (reference, digest) => builtIndex(buildCache, reference, digest),
  });
}

/** What the builder takes from the engine. */
function buildHost(context: EngineContext, engine: Engine, options: DaemonOptions): BuildHost {
  const work = context.imageWork!;
  return {
    config: { ...context.config, builder: parseBuilderSettings(options.builder) },
    database: context.database,
    content: context.content,
    snapshotter: context.snapshotter,
    images: context.images,
    network: context.network,
    background: context.background,
    runtimes: () => context.runtimes,
    hostConfig: (request) =>
      withHostDefaults(request, {
        runtime: context.runtimes.defaultName,
        // What a step of a build prints is its client's.
        logging: { Type: "none" },
        cgroupVersion: context.cgroups.version,
        networkMode: "bridge",
        host: context.config.hostDefaults,
      }),
    registry: work.registry,
    lease: () => work.lease(),
    collect: (candidates) => work.collect(candidates),
    register: (image, lease) => work.register(image, lease),
    pull: (options) => engine.imagePull(options),
    push: (options) => engine.imagePush(options),
    emit: (type, action, id, attributes) => context.events.emit(type, action, id, attributes),
  };
}

function configuredRuntimes(options: DaemonOptions): Promise<Runtimes> {
  return findRuntimes({
    execRoot: options.execRoot,
    cgroupParent: options.cgroupParent,
    added: options.runtimes,
    defaultName: options.defaultRuntime || undefined,
  });
}

/** The group need not exist unless it was asked for. */
async function listen(
  api: ApiServer,
  options: DaemonOptions,
  { start, inherited }: { readonly start: DaemonStart; readonly inherited: readonly InheritedSocket[] },
): Promise<void> {
  const isOptional = start.flags.group === undefined;
  const group = isOptional && !hasGroup(options.group) ? undefined : options.group;
  await api.listen(options.hosts, { group, tls: readServerTls(options), inherited });
}

/** Tells whoever started the daemon that it answers: one line to the descriptor that `GANTRY_READY_FD` names. */
function announceReady(): void {
  const fd = Number(process.env["GANTRY_READY_FD"] ?? Number.NaN);
  if (!Number.isInteger(fd)) return;
  try {
    writeSync(fd, "ready\n");
  } catch (error) {
    log.debug("nobody waits for the daemon", { error: errorText(error) });
  }
}

/** An error that nobody caught is logged; it never takes the daemon down. SIGUSR1 would open Node's debugger. */
function minimiseSurprises(): void {
  process.on("uncaughtException", (error) => log.error("unexpected error", { error }));
  process.on("unhandledRejection", (reason) =>
    log.error("unexpected error", { error: reason instanceof Error ? reason : errorText(reason) }),
  );
  process.on("SIGUSR1", () => {});
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const)
      process.once(signal, () => {
        log.info("stopping", { signal });
        resolve();
      });
  });
}

/** What of the engine's configuration SIGHUP replaces. */
const reloadedSettings = [
  "debug",
  "labels",
  "insecureRegistries",
  "registryMirrors",
  "liveRestore",
  "shutdownTimeoutSeconds",
  "defaultRuntime",
  "hostDefaults",
] as const satisfies readonly (keyof EngineConfig)[];

/** SIGHUP: reads the configuration file again and takes over what can change while containers run. */
async function reload({
  context,
  config,
  start,
  manager,
}: {
  readonly context: EngineContext;
  readonly config: EngineConfig;
  readonly start: DaemonStart;
  readonly manager: ServiceManager;
}): Promise<void> {
  await manager.notify("reloading");
  try {
    const options = mergeDaemonOptions(
      start.flags,
      readConfigFile(start.configFile, start.configFileRequired),
    );
    // First what may fail: either all of it is taken over or nothing.
    context.runtimes = await configuredRuntimes(options);
    const next = engineConfig(options);
    for (const key of reloadedSettings) Object.assign(config, { [key]: next[key] });
    setLogLevel(options.debug ? "debug" : options.logLevel);
    context.network.repair();
    context.events.emit("daemon", "reload", daemonId(options.dataRoot), {
      name: hostname(),
      ...reloadedValues(options),
    });
    log.info("configuration reloaded", { file: start.configFile });
  } catch (error) {
    log.error("configuration not reloaded: it stays as it was", { error: errorText(error) });
  }
  await manager.notify("ready");
}

/** The reload event's attributes: the values by their names in daemon.json; what is no text as JSON. */
function reloadedValues(options: DaemonOptions): Record<string, string> {
  const values: Record<string, string> = {};
  for (const { option, key } of daemonOptionRules) {
    if (!reloadableOptions.includes(option)) continue;
    const value = options[option];
    values[key] = typeof value === "string" ? value : JSON.stringify(value);
  }
  return values;
}

async function shutDown(parts: {
  readonly api: ApiServer;
  readonly context: EngineContext;
  readonly options: DaemonOptions;
}): Promise<void> {
  const { api, context, options } = parts;
  await api.close();
  if (!context.config.liveRestore) await stopAll(context, context.config.shutdownTimeoutSeconds);
  for (const { id } of context.containers.list()) stopHealthChecks(context, id);
  await context.background.idle();
  context.leftovers.close();
  await context.logs.close();
  await context.snapshotter.idle();
  await context.content.idle();
  const isAnyUp = context.containers.list().some((container) => container.state.pid !== 0);
  await context.network.shutdown({ removeAll: !isAnyUp });
  if (!isAnyUp) removeCgroupIfEmpty(context.cgroups, `/${options.cgroupParent}`);
}
