/** Opens the records of a data root, and does not go on with what would take everything without a record for a leftover. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { DamagedRecords, type Database, openDatabase } from "./base/database.ts";
import { NetworkRecords } from "./network/records.ts";
import { VolumeRecords } from "./volume/volume-records.ts";

export const recordsPath = (dataRoot: string): string => join(dataRoot, "gantry.db");

/**
 * Throws {@link DamagedRecords} when the file is damaged, or is missing or empty though there are containers, images or
 * volumes: a daemon's start removes what no record names.
 */
export function openRecords(dataRoot: string, path = recordsPath(dataRoot)): Database {
  if (isBlank(path)) requireNothing(dataRoot, path);
  const database = openDatabase(path);
  try {
    // SQLite itself notices damage only where it comes by. A millisecond for some hundred containers.
    const complaint = database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
    if (complaint !== "ok") throw new DamagedRecords(path, String(complaint));
    readLateOnes(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** The records that are otherwise read for the first time when other things have been changed already. */
function readLateOnes(database: Database): void {
  new VolumeRecords(database).list();
  const networks = new NetworkRecords(database);
  networks.networks();
  networks.sandboxes();
}

/** Never written, or cut off to nothing. */
function isBlank(path: string): boolean {
  return !existsSync(path) || statSync(path).size === 0;
}

function requireNothing(dataRoot: string, path: string): void {
  const there = Object.entries(thingsIn(dataRoot)).filter(([, count]) => count > 0);
  if (there.length === 0) return;
  const list = there.map(([what, count]) => `${what}: ${count}`).join(", ");
  const how = existsSync(path) ? "empty" : "missing";
  throw new DamagedRecords(path, `the file is ${how}, and there is what needs records (${list})`);
}

/** What a data root has beside what needs records. */
const others = [
  "gantry.db",
  "damaged",
  "engine-id",
  "events.jsonl",
  "images",
  "lock",
  "reserve",
  "reserve.inodes",
  "lost+found",
];

/**
 * True when `dataRoot` has what needs records and nothing that is not gantry's: of another engine's directory, which has
 * `containers` and `volumes`, too, nothing is to be moved.
 */
export function isUnrecordedRoot(dataRoot: string): boolean {
  const things = thingsIn(dataRoot);
  const ours = new Set([...others, "containers", "volumes", "snapshots", "content"]);
  return (
    Object.values(things).some((count) => count > 0) && readdirSync(dataRoot).every((name) => ours.has(name))
  );
}

/** How much a data root has that needs a record. */
function thingsIn(dataRoot: string): Record<"containers" | "layers" | "volumes" | "blobs", number> {
  const count = (path: string): number =>
    existsSync(path) ? readdirSync(path).filter((name) => name !== "lost+found").length : 0;
  const countBelow = (path: string, name: string): number =>
    (existsSync(path) ? readdirSync(path) : []).reduce((sum, each) => sum + count(join(path, each, name)), 0);
  return {
    containers: count(join(dataRoot, "containers")),
    layers: countBelow(join(dataRoot, "snapshots"), "layers"),
    volumes: count(join(dataRoot, "volumes")),
    blobs: countBelow(join(dataRoot, "content/blobs"), ""),
  };
}
