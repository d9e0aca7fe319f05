/**
 * An answer is given when what it tells of is on the disk: a loss of power takes nothing that was acknowledged. Writes that
 * come at the same time reach the disk together (`Database.synced`). What no reboot leaves anyway does not wait: containers
 * of `--rm`, and the state of those that no restart policy starts again.
 */
import type { ContainerRecord } from "../container/container.ts";
import type { ProgressMessage } from "../wire/image.ts";
import type { EngineContext } from "./context.ts";
import type { Engine } from "./engine.ts";

/** The use cases that change something, each with an answer that waits for the disk. */
export function withDurableAnswers(context: EngineContext, engine: Engine): Engine {
  const synced = (): Promise<void> => context.database.synced();
  const after =
    <A extends unknown[], T>(call: (...args: A) => Promise<T>): ((...args: A) => Promise<T>) =>
    async (...args) => {
      const result = await call(...args);
      await synced();
      return result;
    };
  const afterAll = <A extends unknown[]>(
    call: (...args: A) => AsyncIterable<ProgressMessage>,
  ): ((...args: A) => AsyncGenerator<ProgressMessage, void>) =>
    async function* (...args) {
      yield* call(...args);
      await synced();
    };
  /** Only where `matters` says so of the container that the first argument names. */
  const where = <A extends [string, ...unknown[]], T>(
    matters: (container: ContainerRecord) => boolean,
    call: (...args: A) => Promise<T>,
  ): ((...args: A) => Promise<T>) => {
    return async (...args) => {
      const container = find(context, args[0]);
      const result = await call(...args);
      if (container === undefined || matters(container)) await synced();
      return result;
    };
  };
  return {
    ...engine,
    async containerCreate(options) {
      const created = await engine.containerCreate(options);
      const container = context.containers.byId(created.Id);
      if (container === undefined || outlivesReboot(container)) await synced();
      return created;
    },
    containerStart: where(isRestarted, (id) => engine.containerStart(id)),
    containerStop: where(isRestarted, (id, options) => engine.containerStop(id, options)),
    containerRestart: where(isRestarted, (id, options) => engine.containerRestart(id, options)),
    containerRemove: where(outlivesReboot, (id, options) => engine.containerRemove(id, options)),
    containerRename: where(outlivesReboot, (id, name) => engine.containerRename(id, name)),
    containerUpdate: where(outlivesReboot, (id, change) => engine.containerUpdate(id, change)),
    containerCommit: after((id, options) => engine.containerCommit(id, options)),
    imageTag: after((name, repository, tag) => engine.imageTag(name, repository, tag)),
    imageRemove: after((name, options) => engine.imageRemove(name, options)),
    imagePull: afterAll((options) => engine.imagePull(options)),
    imageLoad: afterAll((archive, options) => engine.imageLoad(archive, options)),
    imageImport: afterAll((options) => engine.imageImport(options)),
    networkCreate: after((request) => engine.networkCreate(request)),
    networkRemove: after((id) => engine.networkRemove(id)),
    networkConnect: after((id, request) => engine.networkConnect(id, request)),
    networkDisconnect: after((id, request) => engine.networkDisconnect(id, request)),
    volumeCreate: after((request) => engine.volumeCreate(request)),
    volumeRemove: after((name, options) => engine.volumeRemove(name, options)),
    containerPrune: after((filters) => engine.containerPrune(filters)),
    imagePrune: after((filters) => engine.imagePrune(filters)),
    volumePrune: after((filters) => engine.volumePrune(filters)),
    networkPrune: after((filters) => engine.networkPrune(filters)),
  };
}

function find(context: EngineContext, nameOrId: string): ContainerRecord | undefined {
  try {
    return context.containers.resolve(nameOrId);
  } catch {
    // The use case itself says what is wrong with the name.
    return undefined;
  }
}

const outlivesReboot = ({ hostConfig }: ContainerRecord): boolean => hostConfig.AutoRemove !== true;

function isRestarted(container: ContainerRecord): boolean {
  const policy = container.hostConfig.RestartPolicy?.Name ?? "";
  return outlivesReboot(container) && policy !== "" && policy !== "no";
}
