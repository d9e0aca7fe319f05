import type { Engine } from "./engine.ts";
import { containerArchive, containerExtract, containerStatPath } from "./container-archive.ts";
import { containerAttach } from "./container-attach.ts";
import { containerChanges, containerExport } from "./container-changes.ts";
import { containerCommit } from "./container-commit.ts";
import { containerCreate } from "./container-create.ts";
import { containerInspect } from "./container-inspect.ts";
import { containerKill } from "./container-kill.ts";
import { containerList } from "./container-list.ts";
import { containerLogs } from "./container-logs.ts";
import { containerPause, containerUnpause } from "./container-pause.ts";
import { containerRemove } from "./container-remove.ts";
import { containerRename } from "./container-rename.ts";
import { containerResize } from "./container-resize.ts";
import { containerStart } from "./container-start.ts";
import { containerStats } from "./container-stats.ts";
import { containerRestart, containerStop } from "./container-stop.ts";
import { containerTop } from "./container-top.ts";
import { containerUpdate } from "./container-update.ts";
import { containerWait } from "./container-wait.ts";
import type { EngineContext } from "./context.ts";
import { checkEngine } from "./check/live.ts";
import { diskUsage } from "./disk-usage.ts";
import { withDurableAnswers } from "./durable.ts";
import { execCreate, execInspect, execResize, execStart } from "./exec.ts";
import { lostPins } from "../image/garbage.ts";
import { createImageUseCases } from "./image-use-cases.ts";
import { info } from "./info.ts";
import { networkInspect, networkList, volumeInspect, volumeList } from "./listings.ts";
import { hostGateways } from "./network-files.ts";
import { networkConnect, networkCreate, networkDisconnect, networkRemove } from "./networks.ts";
import { containerPrune, imagePrune, networkPrune, volumePrune } from "./prune.ts";
import { restartByPolicy } from "./restart-by-policy.ts";
import { volumeCreate, volumeRemove } from "./volumes.ts";
import { version } from "./version.ts";

/** Ties the use cases to their context: the engine that the API serves. */
export function createEngine(context: EngineContext): Engine {
  context.live.restart = (id) => restartByPolicy(context, id);
  const { imageCommit, imageWork, ...images } = createImageUseCases({
    content: context.content,
    snapshotter: context.snapshotter,
    images: context.images,
    transfers: context.config,
    pins: () => [...(context.buildPins?.() ?? []), ...lostPins(context.images)],
    builtIndex: (reference, digest) => context.builtIndex?.(reference, digest),
    isImageUsed: (id) =>
      context.containers
        .list()
        .filter(
          (container) =>
            container.imageId === id ||
            container.mounts.some(({ Type, Source }) => Type === "image" && Source === id),
        )
        .map((container) => ({
          containerId: container.id,
          running: ["running", "paused", "restarting"].includes(container.state.status),
        })),
    emit: (type, action, id, attributes) => context.events.emit(type, action, id, attributes),
  });
  context.imageWork = imageWork;
  const engine: Engine = {
    info: () => info(context),
    version: () => version(context),
    events: (options) => context.events.subscribe(options),
    containerCreate: (options) => containerCreate(context, options),
    containerStart: (id) => containerStart(context, id),
    containerStop: (id, options) => containerStop(context, id, options),
    containerRestart: (id, options) => containerRestart(context, id, options),
    containerKill: (id, signal) => containerKill(context, id, signal),
    containerPause: (id) => containerPause(context, id),
    containerUnpause: (id) => containerUnpause(context, id),
    containerWait: (id, condition, signal) => containerWait(context, id, condition, signal),
    containerAttach: (id, options) => containerAttach(context, id, options),
    containerLogs: (id, options) => containerLogs(context, id, options),
    containerResize: (id, height, width) => containerResize(context, id, height, width),
    containerInspect: (id, options) => containerInspect(context, id, options),
    containerList: (options) => containerList(context, options),
    containerRemove: (id, options) => containerRemove(context, id, options),
    containerRename: (id, name) => containerRename(context, id, name),
    containerTop: (id, words) => containerTop(context, id, words),
    containerChanges: (id) => containerChanges(context, id),
    containerCommit: (id, options) => containerCommit(context, id, { options, commit: imageCommit }),
    containerExport: (id) => containerExport(context, id),
    containerUpdate: (id, change) => containerUpdate(context, id, change),
    containerStats: (id, options) => containerStats(context, id, options),
    containerStatPath: (id, path) => containerStatPath(context, id, path),
    containerArchive: (id, path) => containerArchive(context, id, path),
    containerExtract: (id, options) => containerExtract(context, id, options),
    execCreate: (id, request) => execCreate(context, id, request),
    execStart: (id, request) => execStart(context, id, request),
    execInspect: (id) => execInspect(context, id),
    execResize: (id, height, width) => execResize(context, id, height, width),
    ...images,
    networkList: (filters) => networkList(context, filters),
    networkInspect: (id) => networkInspect(context, id),
    hostGateways: () => hostGateways(context),
    networkCreate: (request) => networkCreate(context, request),
    networkRemove: (id) => networkRemove(context, id),
    networkConnect: (id, request) => networkConnect(context, id, request),
    networkDisconnect: (id, request) => networkDisconnect(context, id, request),
    volumeList: (filters) => volumeList(context, filters),
    volumeInspect: (name) => volumeInspect(context, name),
    volumeCreate: (request) => volumeCreate(context, request),
    volumeRemove: (name, options) => volumeRemove(context, name, options),
    check: (options) => checkEngine(context, options),
    diskUsage: (types) =>
      diskUsage(
        context,
        {
          imageList: (options) => images.imageList(options),
          containerList: (options) => containerList(context, options),
        },
        types,
      ),
    containerPrune: (filters) => containerPrune(context, filters),
    imagePrune: (filters) =>
      imagePrune(context, (name, options) => images.imageRemove(name, options), filters),
    volumePrune: (filters) => volumePrune(context, filters),
    networkPrune: (filters) => networkPrune(context, filters),
  };
  return withDurableAnswers(context, engine);
}
