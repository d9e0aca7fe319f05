/** Names of bridges that are gone and may still be in firewalld's zone: the next daemon takes them out. */
import { type Database, transaction } from "../base/database.ts";

export interface DeviceNotes {
  read(): string[];
  write(devices: readonly string[]): void;
}

export class ZoneLeftovers implements DeviceNotes {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
    database.exec("CREATE TABLE IF NOT EXISTS firewall_zone_leftovers (device TEXT PRIMARY KEY) STRICT");
  }

  read(): string[] {
    const rows = this.#database.prepare("SELECT device FROM firewall_zone_leftovers ORDER BY device").all();
    return rows.map((row) => String(row["device"]));
  }

  write(devices: readonly string[]): void {
    transaction(this.#database, () => {
      this.#database.exec("DELETE FROM firewall_zone_leftovers");
      const insert = this.#database.prepare("INSERT INTO firewall_zone_leftovers (device) VALUES (?)");
      for (const device of devices) insert.run(device);
    });
  }
}

/** For those who have no next daemon. */
export const noNotes: DeviceNotes = { read: () => [], write: () => {} };
