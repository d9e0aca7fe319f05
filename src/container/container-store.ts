import { type Database, parseColumn } from "../base/database.ts";
import type { DiskReserve } from "../base/disk-reserve.ts";
import { conflict, errorText, invalidArgument, notFound } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { openTables } from "../base/schema.ts";
import type { ContainerRecord, ContainerState, ContainerStore } from "./container.ts";
import type { RecordCopies } from "./record-copies.ts";

export interface ContainerStoreOptions {
  /** What has become of a container is stored and containers are removed on a full disk, too. */
  readonly reserve?: DiskReserve;
  /** Where the containers' files say whose they are. */
  readonly copies?: RecordCopies;
}

/**
 * Container records in the engine's database, with all of them in memory too: reading costs nothing, and a write is one
 * transaction that is on disk before the caller goes on.
 */
export function createContainerStore(
  database: Database,
  options: ContainerStoreOptions = {},
): ContainerStore {
  return new SqliteContainerStore(database, options);
}

/** How long after a state could not be stored it is tried again. */
const retryMs = 1_000;

class SqliteContainerStore implements ContainerStore {
  readonly #byId = new Map<string, ContainerRecord>();
  readonly #idByName = new Map<string, string>();
  /** Containers whose last state is only in memory. */
  readonly #unstored = new Set<string>();
  readonly #insert;
  readonly #update;
  readonly #delete;

  readonly #reserve: DiskReserve | undefined;
  readonly #copies: RecordCopies | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(database: Database, { reserve, copies }: ContainerStoreOptions) {
    this.#reserve = reserve;
    this.#copies = copies;
    openTables(database, {
      room: "container",
      tables: `CREATE TABLE IF NOT EXISTS containers (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, record TEXT NOT NULL) STRICT`,
    });
    this.#insert = database.prepare("INSERT INTO containers (id, name, record) VALUES (?, ?, ?)");
    this.#update = database.prepare("UPDATE containers SET name = ?, record = ? WHERE id = ?");
    this.#delete = database.prepare("DELETE FROM containers WHERE id = ?");
    for (const row of database.prepare("SELECT record FROM containers").all())
      this.#remember(parseColumn(database, row["record"]) as ContainerRecord);
  }

  #remember(record: ContainerRecord): void {
    this.#byId.set(record.id, record);
    this.#idByName.set(record.name, record.id);
  }

  list(): ContainerRecord[] {
    return [...this.#byId.values()];
  }

  resolve(nameOrId: string): ContainerRecord {
    if (nameOrId === "") throw invalidArgument('invalid name or ID supplied: ""');
    const exact = this.#byId.get(nameOrId) ?? this.byName(nameOrId.replace(/^\//, ""));
    if (exact !== undefined) return exact;
    if (nameOrId !== "" && /^[0-9a-f]+$/.test(nameOrId)) {
      const matches = [...this.#byId.keys()].filter((id) => id.startsWith(nameOrId));
      if (matches.length === 1) return this.#byId.get(matches[0]!)!;
      if (matches.length > 1)
        throw invalidArgument(`multiple IDs found with provided prefix: ${nameOrId}`, {
          hint: "Give more digits of the container's id.",
        });
    }
    throw notFound(`No such container: ${nameOrId}`);
  }

  byId(id: string): ContainerRecord | undefined {
    return this.#byId.get(id);
  }

  byName(name: string): ContainerRecord | undefined {
    const id = this.#idByName.get(name);
    return id === undefined ? undefined : this.#byId.get(id);
  }

  requireFreeName(name: string): void {
    const holder = this.#idByName.get(name);
    if (holder !== undefined)
      throw conflict(
        `Conflict. The container name "/${name}" is already in use by container "${holder}". ` +
          "You have to remove (or rename) that container to be able to reuse that name.",
      );
  }

  insert(record: ContainerRecord): void {
    this.requireFreeName(record.name);
    const text = JSON.stringify(record);
    this.#insert.run(record.id, record.name, text);
    this.#storeRest();
    this.#remember(record);
    if (this.#copies !== undefined && deservesCopy(record)) this.#copies.write(record, text);
  }

  update(id: string, change: Partial<Omit<ContainerRecord, "id">>): ContainerRecord {
    const before = this.#byId.get(id);
    if (before === undefined) throw notFound(`No such container: ${id}`);
    const after = { ...before, ...change };
    if (after.name !== before.name) this.requireFreeName(after.name);
    const text = JSON.stringify(after);
    this.#update.run(after.name, text, id);
    this.#unstored.delete(id);
    this.#storeRest();
    if (after.name !== before.name) this.#idByName.delete(before.name);
    this.#remember(after);
    if (this.#copies !== undefined && deservesCopy(after) && hasLastingChange(before, after))
      this.#copies.write(after, text);
    return after;
  }

  updateState(id: string, change: Partial<ContainerState>): ContainerRecord {
    const before = this.#byId.get(id);
    if (before === undefined) throw notFound(`No such container: ${id}`);
    const state = { ...before.state, ...change };
    try {
      return this.#withReserve(() => this.update(id, { state }));
    } catch (error) {
      log.error(`could not store the state of container ${before.name}`, { error: errorText(error) });
      const after = { ...before, state };
      this.#remember(after);
      this.#unstored.add(id);
      this.#storeRestLater();
      return after;
    }
  }

  #withReserve<T>(work: () => T): T {
    return this.#reserve === undefined ? work() : this.#reserve.use(work);
  }

  /** What only memory has would be lost with this process: it is stored as soon as that can be done. */
  #storeRestLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#storeRest();
      if (this.#unstored.size > 0) this.#storeRestLater();
      else log.info("the states of all containers are stored again");
    }, retryMs).unref();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#storeRest();
  }

  /** Stores what could not be stored before; the first failure ends the attempt. */
  #storeRest(): void {
    for (const id of this.#unstored) {
      const record = this.#byId.get(id)!;
      try {
        this.#update.run(record.name, JSON.stringify(record), id);
      } catch {
        return;
      }
      this.#unstored.delete(id);
    }
  }

  restoreLost(): ContainerRecord[] {
    const restored: ContainerRecord[] = [];
    for (const id of this.#copies?.ids() ?? []) {
      if (this.#byId.has(id)) continue;
      const lost = this.#copies?.read(id);
      if (lost === undefined) continue;
      const isFree = !this.#idByName.has(lost.name);
      const record = isFree ? lost : { ...lost, name: `${lost.name}-${id.slice(0, 12)}` };
      this.#insert.run(id, record.name, JSON.stringify(record));
      this.#remember(record);
      restored.push(record);
    }
    return restored;
  }

  refreshCopies(): void {
    for (const record of this.list()) if (deservesCopy(record)) this.#copies?.refresh(record);
  }

  unrecorded(id: string): { readonly name: string | undefined } | undefined {
    if (this.#byId.has(id) || this.#copies?.has(id) !== true) return undefined;
    return { name: this.#copies.read(id)?.name };
  }

  remove(id: string): void {
    const record = this.#byId.get(id);
    if (record === undefined) return;
    // First: a copy without a record is taken for one that was lost.
    this.#copies?.remove(record);
    try {
      this.#withReserve(() => this.#delete.run(id));
    } catch (error) {
      if (this.#copies !== undefined && deservesCopy(record)) this.#copies.write(record);
      throw error;
    }
    this.#unstored.delete(id);
    this.#byId.delete(id);
    this.#idByName.delete(record.name);
  }
}

/** Of `--rm` only what runs: it is removed at its end, and one that was not started is not missed. Most live for a moment. */
function deservesCopy({ hostConfig, state }: ContainerRecord): boolean {
  return hostConfig.AutoRemove !== true || state.status === "running" || state.status === "paused";
}

/** Health and counts come and go with every probe and every restart. */
function hasLastingChange(before: ContainerRecord, after: ContainerRecord): boolean {
  return differs(before, after, ["restartCount", "state"]) || differs(before.state, after.state, ["health"]);
}

/** What an update leaves alone is the same object, and need not be looked into. */
function differs<T extends object>(before: T, after: T, ignored: readonly (keyof T)[]): boolean {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]) as Set<keyof T>;
  for (const key of ignored) keys.delete(key);
  return keys
    .values()
    .some((key) => before[key] !== after[key] && JSON.stringify(before[key]) !== JSON.stringify(after[key]));
}
