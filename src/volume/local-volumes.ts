import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Database } from "../base/database.ts";
import { conflict, errorText, invalidArgument, notFound, notImplemented } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import { nowRfc3339 } from "../base/time.ts";
import { copyTree } from "../linux/copy-tree.ts";
import { isErrno, withFileErrors } from "../linux/fs-error.ts";
import type { VolumeInspect } from "../wire/volume.ts";
import type { VolumeStore } from "./volume.ts";

/** Label of a volume that was made without a name; `rm -v` removes only such. */
const anonymousLabel = "com.docker.volume.anonymous";

const nameForm = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** Volumes as directories `<root>/<name>/_data`, with their records in the engine's database. */
export function createVolumeStore(database: Database, root: string): VolumeStore {
  return new LocalVolumeStore(database, root);
}

class LocalVolumeStore implements VolumeStore {
  readonly #database: Database;
  readonly #root: string;
  readonly #volumes = new Map<string, VolumeInspect>();

  constructor(database: Database, root: string) {
    this.#database = database;
    this.#root = root;
    mkdirSync(root, { recursive: true, mode: 0o701 });
    database.exec("CREATE TABLE IF NOT EXISTS volumes (name TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT");
    for (const row of database.prepare("SELECT record FROM volumes").all()) {
      const volume = JSON.parse(String(row["record"])) as VolumeInspect;
      this.#volumes.set(volume.Name, volume);
    }
    this.#recover();
  }

  /**
   * Puts right what a crash left. An empty directory without a record was cut off while it was made. One with data is
   * somebody's data, whatever happened to the database: it becomes a volume again. A record without a directory was
   * cut off while it was removed.
   */
  #recover(): void {
    for (const name of readdirSync(this.#root)) {
      if (this.#volumes.has(name)) continue;
      const path = join(this.#root, name);
      if (nameForm.test(name) && hasEntries(join(path, "_data"))) this.#record(name, {});
      else rmSync(path, { recursive: true, force: true });
    }
    for (const { Name, Mountpoint } of this.#volumes.values())
      if (!existsSync(Mountpoint)) this.#forget(Name);
  }

  list(): VolumeInspect[] {
    return [...this.#volumes.values()];
  }

  inspect(name: string): VolumeInspect {
    const volume = this.#volumes.get(name);
    if (volume === undefined) throw notFound(`get ${name}: no such volume`);
    return volume;
  }

  create(request: Parameters<VolumeStore["create"]>[0]): VolumeInspect {
    const driver = request.driver || "local";
    const known = request.name ? this.#volumes.get(request.name) : undefined;
    if (driver !== "local")
      throw notImplemented(
        `create ${request.name ?? "volume"}: volume driver "${driver}" is not served: gantry has the local driver only`,
      );
    if (Object.keys(request.driverOptions ?? {}).length > 0)
      throw notImplemented(
        `create ${request.name ?? "volume"}: options of the local volume driver are not served by this version of gantry`,
      );
    if (known !== undefined) return known;
    const name = request.name || newId();
    if (!nameForm.test(name))
      throw invalidArgument(
        `create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
      );
    withFileErrors(`create volume ${name}`, () => {
      mkdirSync(join(this.#root, name), { mode: 0o701 });
      mkdirSync(join(this.#root, name, "_data"), { mode: 0o755 });
    });
    return this.#record(name, { ...request.labels, ...(request.name ? {} : { [anonymousLabel]: "" }) });
  }

  #record(name: string, labels: Record<string, string>): VolumeInspect {
    const volume: VolumeInspect = {
      Name: name,
      Driver: "local",
      Mountpoint: join(this.#root, name, "_data"),
      CreatedAt: nowRfc3339().replace(/\.\d+/, ""),
      Labels: Object.keys(labels).length > 0 ? labels : null,
      Scope: "local",
      Options: null,
    };
    this.#database
      .prepare("INSERT INTO volumes (name, record) VALUES (?, ?)")
      .run(name, JSON.stringify(volume));
    this.#volumes.set(name, volume);
    return volume;
  }

  #forget(name: string): void {
    this.#database.prepare("DELETE FROM volumes WHERE name = ?").run(name);
    this.#volumes.delete(name);
  }

  isAnonymous(name: string): boolean {
    return Object.hasOwn(this.#volumes.get(name)?.Labels ?? {}, anonymousLabel);
  }

  copyUp(name: string, imageDirectory: string): void {
    const { Mountpoint: target } = this.inspect(name);
    const isDirectory = lstatSync(imageDirectory, { throwIfNoEntry: false })?.isDirectory() === true;
    if (!isDirectory || readdirSync(target).length > 0) return;
    try {
      withFileErrors(`copy ${imageDirectory} into volume ${name}`, () => copyTree(imageDirectory, target));
    } catch (error) {
      // A part would look like a volume in use the next time.
      for (const entry of readdirSync(target)) rmSync(join(target, entry), { recursive: true, force: true });
      throw error;
    }
  }

  remove(name: string): void {
    if (!this.#volumes.has(name)) throw notFound(`get ${name}: no such volume`);
    // Renamed first: a volume of that name may be made again while the old files go.
    const doomed = join(this.#root, `.removing-${randomBytes(6).toString("hex")}`);
    try {
      renameSync(join(this.#root, name), doomed);
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw conflict(`remove ${name}: ${errorText(error)}`, { cause: error });
    }
    this.#forget(name);
    rmSync(doomed, { recursive: true, force: true });
  }
}

function hasEntries(path: string): boolean {
  try {
    return readdirSync(path).length > 0;
  } catch {
    return false;
  }
}
