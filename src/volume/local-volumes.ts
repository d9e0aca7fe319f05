import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Database } from "../base/database.ts";
import { conflict, invalidArgument, notFound, notImplemented } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import { nowRfc3339 } from "../base/time.ts";
import { copyTree } from "../linux/copy-tree.ts";
import type { VolumeInspect } from "../wire/volume.ts";
import type { VolumeStore } from "./volume.ts";

/** Label of a volume that was made without a name; `rm -v` removes only such. */
const anonymousLabel = "com.docker.volume.anonymous";

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
    this.#sweep();
  }

  /** The record comes after the directory and goes before it: a directory without record was cut off half-way. */
  #sweep(): void {
    for (const name of readdirSync(this.#root))
      if (!this.#volumes.has(name)) rmSync(join(this.#root, name), { recursive: true, force: true });
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
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name))
      throw invalidArgument(
        `create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
      );
    const mountpoint = join(this.#root, name, "_data");
    mkdirSync(join(this.#root, name), { mode: 0o701 });
    mkdirSync(mountpoint, { mode: 0o755 });
    const labels = { ...request.labels, ...(request.name ? {} : { [anonymousLabel]: "" }) };
    const volume: VolumeInspect = {
      Name: name,
      Driver: "local",
      Mountpoint: mountpoint,
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

  isAnonymous(name: string): boolean {
    return Object.hasOwn(this.#volumes.get(name)?.Labels ?? {}, anonymousLabel);
  }

  copyUp(name: string, imageDirectory: string): void {
    const { Mountpoint: target } = this.inspect(name);
    if (!existsSync(imageDirectory) || readdirSync(target).length > 0) return;
    copyTree(imageDirectory, target);
  }

  remove(name: string): void {
    if (!this.#volumes.has(name)) throw notFound(`get ${name}: no such volume`);
    this.#database.prepare("DELETE FROM volumes WHERE name = ?").run(name);
    this.#volumes.delete(name);
    // Renamed first: a volume of that name may be made again while the old files go.
    const doomed = join(this.#root, `.removing-${randomBytes(6).toString("hex")}`);
    try {
      renameSync(join(this.#root, name), doomed);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      throw conflict(`remove ${name}: ${(error as Error).message}`, { cause: error });
    }
    rmSync(doomed, { recursive: true, force: true });
  }
}
