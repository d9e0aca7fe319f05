import { type Database, parseColumn } from "../base/database.ts";
import { openTables } from "../base/schema.ts";
import type { VolumeInspect } from "../wire/volume.ts";

/** The records of volumes: a row each, and all of them in memory. */
export class VolumeRecords {
  readonly #database: Database;
  readonly #volumes = new Map<string, VolumeInspect>();

  constructor(database: Database) {
    this.#database = database;
    openTables(database, {
      room: "volume",
      tables: "CREATE TABLE IF NOT EXISTS volumes (name TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT",
    });
    for (const row of database.prepare("SELECT record FROM volumes").all()) {
      const volume = parseColumn(database, row["record"]) as VolumeInspect;
      this.#volumes.set(volume.Name, volume);
    }
  }

  list(): readonly VolumeInspect[] {
    return [...this.#volumes.values()];
  }

  get(name: string): VolumeInspect | undefined {
    return this.#volumes.get(name);
  }

  insert(volume: VolumeInspect): void {
    this.#database
      .prepare("INSERT INTO volumes (name, record) VALUES (?, ?)")
      .run(volume.Name, JSON.stringify(volume));
    this.#volumes.set(volume.Name, volume);
  }

  remove(name: string): void {
    this.#database.prepare("DELETE FROM volumes WHERE name = ?").run(name);
    this.#volumes.delete(name);
  }
}
