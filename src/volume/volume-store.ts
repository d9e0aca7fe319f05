import { closeSync, constants, lstatSync, openSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Database } from "../base/database.ts";
import { conflict, EngineError, errorText, isKind, notFound } from "../base/errors.ts";
import { crashpoint, failpoint } from "../base/failpoint.ts";
import { newId } from "../base/ids.ts";
import { KeyedLock } from "../base/keyed-lock.ts";
import { log } from "../base/log.ts";
import { nowRfc3339 } from "../base/time.ts";
import { copyTree } from "../linux/copy-tree.ts";
import { namesIn, removeEntry } from "../linux/tree-fd.ts";
import { withFileErrors } from "../linux/fs-error.ts";
import type { VolumeInspect } from "../wire/volume.ts";
import type { DriverVolume, VolumeDriver } from "./driver.ts";
import {
  holdsData,
  isRemovalLeftover,
  LocalDriver,
  removeEmptyVolume,
  volumeNameForm,
} from "./local-driver.ts";
import { PluginDriver } from "./plugin-driver.ts";
import { type PluginDirectories, pluginDirectories, pluginNames } from "./plugin-registry.ts";
import { VolumeRecords } from "./volume-records.ts";
import type { VolumeCreate, VolumeListing, VolumeStore } from "./volume.ts";

/** Label of a volume that was made without a name; `rm -v` removes only such. */
const anonymousLabel = "com.docker.volume.anonymous";

/** For how long a removal waits for the end of containers that are gone but not cleaned up. */
const releaseTimeoutMs = 10_000;

/** Volumes below `root` and those of plugins, with their records in the engine's database. */
export function createVolumeStore(
  database: Database,
  root: string,
  plugins: PluginDirectories = pluginDirectories,
): VolumeStore {
  return new DriverVolumeStore(database, root, plugins);
}

class DriverVolumeStore implements VolumeStore {
  readonly #records: VolumeRecords;
  readonly #local: LocalDriver;
  readonly #plugins: PluginDirectories;
  readonly #drivers = new Map<string, PluginDriver>();
  readonly #locks = new KeyedLock();
  /** Who has what mounted: user and place. */
  readonly #users = new Map<string, Map<string, string>>();
  readonly #waitingForRelease = new Map<string, Set<() => void>>();

  constructor(database: Database, root: string, plugins: PluginDirectories) {
    this.#plugins = plugins;
    this.#local = new LocalDriver(root);
    this.#records = new VolumeRecords(database);
    this.#recover(root);
  }

  /**
   * Puts right what a crash left. An empty directory without a record was cut off while it was made. One with data is
   * somebody's data, whatever happened to the database: it becomes a volume again. A record without a directory was
   * cut off while it was removed when that is noted; else its directory may come back, with its file system. What is no
   * volume is somebody else's.
   */
  #recover(root: string): void {
    const removed = this.#local.takeRemovalNotes();
    const entries = new Set(readdirSync(root));
    for (const name of entries) {
      const path = join(root, name);
      // The second is the file system's, where the volumes have one of their own.
      if (this.#records.get(name)?.Driver === "local" || name === "lost+found") continue;
      const isSomebodys = volumeNameForm.test(name) && holdsData(path);
      if (isRemovalLeftover(name)) rmSync(path, { recursive: true, force: true });
      else if (!isSomebodys && !removeEmptyVolume(path))
        log.warn("something beside the volumes is none; it is left alone", { path });
      else if (isSomebodys && this.#records.get(name) === undefined)
        this.#records.insert(
          this.#newRecord({ name, driver: this.#local, scope: "local", labels: {}, options: {} }),
        );
    }
    for (const { Name, Driver } of this.#records.list()) {
      if (Driver !== "local" || entries.has(Name)) continue;
      if (removed.has(Name)) this.#records.remove(Name);
      else log.error("the directory of a volume is not there", { volume: Name, root });
    }
  }

  records(): readonly VolumeInspect[] {
    return this.#records.list();
  }

  async list(): Promise<VolumeListing> {
    const volumes = new Map(this.#records.list().map((volume) => [volume.Name, volume]));
    const warnings: string[] = [];
    const fromPlugin = async (name: string): Promise<void> => {
      try {
        const driver = await this.#driver(name, false);
        const found = new Map((await driver.list()).map((volume) => [volume.name, volume]));
        // What its driver has lost, or had taken from it, is a volume no more.
        for (const record of volumes.values())
          if (record.Driver === name && !found.has(record.Name)) volumes.delete(record.Name);
        for (const volume of found.values()) {
          const record = volumes.get(volume.name);
          if (record === undefined) volumes.set(volume.name, await this.#unrecorded(driver, volume));
          else if (record.Driver === name) volumes.set(volume.name, withDriverState(record, volume));
        }
      } catch (error) {
        this.#drivers.delete(name);
        if (isKind(error, "notFound")) return;
        warnings.push(`list ${name}: ${errorText(error)}`);
      }
    };
    await Promise.all(pluginNames(this.#plugins).map(fromPlugin));
    return { volumes: [...volumes.values()], warnings };
  }

  async inspect(name: string): Promise<VolumeInspect> {
    const volume = await named(`get ${name}`, () => this.#find(name));
    if (volume === undefined) throw notFound(`get ${name}: no such volume`);
    return volume;
  }

  /** A volume on record with what its driver says of it now, or one that a plugin has. */
  async #find(name: string): Promise<VolumeInspect | undefined> {
    const record = this.#records.get(name);
    if (record?.Driver === "local") return record;
    if (record !== undefined) {
      const found = await (await this.#driver(record.Driver)).get(name);
      return found === undefined ? undefined : withDriverState(record, found);
    }
    for (const plugin of pluginNames(this.#plugins)) {
      try {
        const driver = await this.#driver(plugin, false);
        const found = await driver.get(name);
        if (found !== undefined) return await this.#unrecorded(driver, found);
      } catch (error) {
        log.debug(`plugin ${plugin} was not asked for volume ${name}`, { error: errorText(error) });
      }
    }
    return undefined;
  }

  /** Throws `notFound` in Docker's words. `retry` waits some seconds for a plugin that is being started. */
  async #driver(name: string, retry = true): Promise<VolumeDriver> {
    return name === "local" ? this.#local : this.#plugin(name, retry);
  }

  async #plugin(name: string, retry = true): Promise<PluginDriver> {
    const known = this.#drivers.get(name);
    if (known !== undefined) return known;
    const driver = await PluginDriver.open(this.#plugins, name, { retry });
    this.#drivers.set(name, driver);
    return driver;
  }

  async create(request: VolumeCreate): Promise<{ volume: VolumeInspect; isNew: boolean }> {
    const name = request.name || request.anonymousName || newId();
    using _ = await this.#locks.acquire(name);
    const known = request.name ? await this.#known(name, request.driver) : undefined;
    if (known !== undefined) return { volume: known, isNew: false };
    const driver = await named(`create ${name}`, () => this.#driver(request.driver || "local"));
    const options = { ...request.driverOptions };
    if (driver === this.#local) await driver.create(name, options);
    else await named(`create ${name}`, () => driver.create(name, options));
    const labels = { ...request.labels, ...(request.name ? {} : { [anonymousLabel]: "" }) };
    const volume = this.#newRecord({ name, driver, scope: await driver.scope(), labels, options });
    try {
      failpoint("volume-create.made");
      this.#records.insert(volume);
    } catch (error) {
      try {
        await driver.remove(volume);
      } catch (left) {
        log.warn(`volume ${name} could not be recorded, and its driver did not remove it again`, {
          error: errorText(left),
        });
      }
      throw error;
    }
    crashpoint("volume-create.recorded");
    const found = driver === this.#local ? undefined : await driver.get(name);
    return { volume: found === undefined ? volume : withDriverState(volume, found), isNew: true };
  }

  /** The volume of that name, when there is one. Throws `conflict` in Docker's words when another driver has it. */
  async #known(name: string, driver: string | undefined): Promise<VolumeInspect | undefined> {
    const record = this.#records.get(name);
    const found = await named(`create ${name}`, () =>
      // A name that nobody knows here is looked for with the plugins unless the driver is given.
      record === undefined && driver ? this.#atDriver(driver, name) : this.#find(name),
    );
    if (found === undefined) {
      // Its driver lost it: then it is made anew.
      if (record !== undefined && !this.#users.has(name)) this.#records.remove(name);
      return undefined;
    }
    if (driver && found.Driver !== driver)
      throw conflict(
        `create ${name}: driver '${found.Driver}' already has volume '${name}': volume name must be unique`,
      );
    if (record === undefined) this.#records.insert(found);
    return found;
  }

  async #atDriver(driverName: string, name: string): Promise<VolumeInspect | undefined> {
    if (driverName === "local") return undefined;
    const driver = await this.#driver(driverName);
    const found = await driver.get(name);
    return found === undefined ? undefined : this.#unrecorded(driver, found);
  }

  async #unrecorded(driver: VolumeDriver, found: DriverVolume): Promise<VolumeInspect> {
    const scope = await driver.scope();
    const record = this.#newRecord({ name: found.name, driver, scope, labels: {}, options: {} });
    return withDriverState({ ...record, CreatedAt: "" }, found);
  }

  #newRecord(made: {
    readonly name: string;
    readonly driver: VolumeDriver;
    readonly scope: VolumeInspect["Scope"];
    readonly labels: Record<string, string>;
    readonly options: Record<string, string>;
  }): VolumeInspect {
    const orNull = (map: Record<string, string>): Record<string, string> | null =>
      Object.keys(map).length > 0 ? map : null;
    return {
      Name: made.name,
      Driver: made.driver.name,
      Mountpoint: made.driver === this.#local ? this.#local.pathOf(made.name) : "",
      CreatedAt: nowRfc3339().replace(/\.\d+/, ""),
      Labels: orNull(made.labels),
      Scope: made.scope,
      Options: orNull(made.options),
    };
  }

  isAnonymous(name: string): boolean {
    return Object.hasOwn(this.#records.get(name)?.Labels ?? {}, anonymousLabel);
  }

  async mount(name: string, user: string): Promise<string> {
    using _ = await this.#locks.acquire(name);
    const users = this.#users.get(name) ?? new Map<string, string>();
    const before = users.get(user);
    if (before !== undefined) return before;
    const volume = this.#records.get(name) ?? (await this.#find(name));
    if (volume === undefined) throw notFound(`get ${name}: no such volume`);
    const driver = await this.#driver(volume.Driver);
    const path =
      driver === this.#local
        ? await driver.mount(volume, user)
        : await named(`error while mounting volume '${name}'`, () => driver.mount(volume, user));
    users.set(user, path);
    this.#users.set(name, users);
    return path;
  }

  async unmount(name: string, user: string): Promise<void> {
    using _ = await this.#locks.acquire(name);
    const users = this.#users.get(name);
    if (users === undefined || !users.has(user)) return;
    const volume = this.#records.get(name) ?? (await this.#find(name));
    try {
      if (volume !== undefined)
        await (await this.#driver(volume.Driver)).unmount(volume, user, users.size === 1);
    } finally {
      users.delete(user);
      if (users.size === 0) {
        this.#users.delete(name);
        for (const resolve of this.#waitingForRelease.get(name) ?? []) resolve();
      }
    }
  }

  async requireAnswer(name: string): Promise<void> {
    const volume = this.#records.get(name);
    const what = `volume ${name}: `;
    if (volume?.Driver === "local") await this.#local.requireAnswer(volume, what);
    else if (volume !== undefined) {
      const path = await this.#placeAtPlugin(volume);
      if (path !== "") await (await this.#plugin(volume.Driver)).requireAnswer(path, what);
    }
  }

  /** Where a plugin has a volume mounted; empty when it has not, or cannot say. */
  async #placeAtPlugin({ Name, Driver }: VolumeInspect): Promise<string> {
    const known = [...(this.#users.get(Name)?.values() ?? [])].find((path) => path !== "");
    if (known !== undefined || !this.#users.has(Name)) return known ?? "";
    try {
      return (await (await this.#plugin(Driver, false)).get(Name))?.mountpoint ?? "";
    } catch (error) {
      log.debug(`plugin ${Driver} was not asked for volume ${Name}`, { error: errorText(error) });
      return "";
    }
  }

  adopt(name: string, user: string): void {
    const users = this.#users.get(name) ?? new Map<string, string>();
    users.set(user, this.#records.get(name)?.Mountpoint ?? "");
    this.#users.set(name, users);
  }

  async unmountUnused(): Promise<void> {
    for (const volume of this.#records.list())
      if (volume.Driver === "local" && !this.#users.has(volume.Name))
        await this.#local.unmount(volume, "", true);
  }

  copyUp(path: string, imageDirectory: string): void {
    const isDirectory = lstatSync(imageDirectory, { throwIfNoEntry: false })?.isDirectory() === true;
    if (!isDirectory || readdirSync(path).length > 0) return;
    try {
      withFileErrors(`copy ${imageDirectory} into ${path}`, () => copyTree(imageDirectory, path));
    } catch (error) {
      // A part would look like a volume in use the next time.
      emptyDirectory(path);
      throw error;
    }
  }

  async remove(name: string, { force = false }: { readonly force?: boolean } = {}): Promise<void> {
    await this.#released(name);
    using _ = await this.#locks.acquire(name);
    const volume = this.#records.get(name) ?? (await this.#find(name));
    if (volume === undefined) throw notFound(`get ${name}: no such volume`);
    if (this.#users.has(name)) throw conflict(`remove ${name}: volume has active mounts`);
    const note = volume.Driver === "local" ? this.#local.noteRemoval(name) : undefined;
    let refusal: unknown;
    try {
      await named(`remove ${name}`, async () => {
        const driver = await this.#driver(volume.Driver, !force);
        // A driver that has forgotten it is asked no more.
        if (driver === this.#local || (await driver.get(name)) !== undefined) await driver.remove(volume);
      });
    } catch (error) {
      note?.[Symbol.dispose]();
      if (!force || volume.Driver === "local") throw error;
      log.warn(`volume ${name} is forgotten, its driver did not remove it`, { error: errorText(error) });
      if (!isKind(error, "notFound") && !isKind(error, "unavailable")) refusal = error;
    }
    crashpoint("volume-remove.removed");
    // When that fails, the note has the next start do it.
    this.#records.remove(name);
    crashpoint("volume-remove.recorded");
    note?.[Symbol.dispose]();
    // As with Docker: it is forgotten here, and whoever asked hears that it is still there.
    if (refusal !== undefined) throw refusal;
  }

  /** Waits for containers that are gone and still being cleaned up. */
  async #released(name: string): Promise<void> {
    if (!this.#users.has(name)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = this.#waitingForRelease.get(name) ?? new Set();
    waiting.add(resolve);
    this.#waitingForRelease.set(name, waiting);
    const timer = setTimeout(resolve, releaseTimeoutMs);
    await promise;
    clearTimeout(timer);
    waiting.delete(resolve);
    if (waiting.size === 0) this.#waitingForRelease.delete(name);
  }
}

/** A record with what its driver says: where it is, since when, how it fares. */
function withDriverState(
  record: VolumeInspect,
  { mountpoint, createdAt, status }: DriverVolume,
): VolumeInspect {
  return {
    ...record,
    Mountpoint: mountpoint,
    ...(createdAt === "" ? {} : { CreatedAt: createdAt }),
    ...(status === undefined ? {} : { Status: status }),
  };
}

/** Puts what was asked before the words of a failure, as Docker does. */
async function named<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof EngineError) || error.message.startsWith(`${what}: `)) throw error;
    const more = error.hint === undefined ? {} : { hint: error.hint };
    throw new EngineError(error.kind, `${what}: ${error.message}`, { cause: error, ...more });
  }
}

/** By open directories: a container that has the volume may put links into it meanwhile. */
function emptyDirectory(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    for (const name of namesIn(fd)) removeEntry(fd, name);
  } finally {
    closeSync(fd);
  }
}
