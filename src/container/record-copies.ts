/**
 * A copy of each container's record beside its files: `containers/<id>/record.json`. It is written after the record and
 * removed before it, so a copy without a record says that the record was lost (a database from a backup, one that could
 * not be read) and whose the files are. What has neither was never acknowledged, or is being removed, or was of `--rm` and
 * did not run.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { isErrno } from "../linux/fs-error.ts";
import { dropSideFile, newSideFile, removeSideFile, writeSideFile } from "../linux/side-file.ts";
import type { ContainerRecord } from "./container.ts";

/** Names in `containers/` that are the engine's; what else is there is somebody else's. */
export const containerIdForm = /^[0-9a-f]{64}$/;

const copyName = "record.json";
const newName = newSideFile(copyName);

export class RecordCopies {
  readonly #root: string;

  /** `root` is the directory with one directory a container. */
  constructor(root: string) {
    this.#root = root;
  }

  #path(id: string): string {
    return join(this.#root, id, copyName);
  }

  /** Ids of containers that have a copy, whatever is in it. */
  ids(): string[] {
    if (!existsSync(this.#root)) return [];
    return readdirSync(this.#root).filter((id) => containerIdForm.test(id) && this.has(id));
  }

  /** True when there is one, also when that cannot be told. */
  has(id: string): boolean {
    try {
      // A directory that cannot be read is no sign that nobody needs it.
      return readdirSync(join(this.#root, id)).some((name) => name === copyName || name === newName);
    } catch (error) {
      return !isErrno(error, "ENOENT", "ENOTDIR");
    }
  }

  /** Undefined for one that is not there or cannot be read. */
  read(id: string): ContainerRecord | undefined {
    return this.#readFile(id, copyName) ?? this.#readFile(id, newName);
  }

  #readFile(id: string, name: string): ContainerRecord | undefined {
    try {
      const text = readFileSync(join(this.#root, id, name), "utf8");
      const record = JSON.parse(text) as Partial<ContainerRecord> | null;
      const isWhole =
        record?.id === id &&
        typeof record.name === "string" &&
        typeof record.imageId === "string" &&
        isObject(record.config) &&
        isObject(record.hostConfig) &&
        Array.isArray(record.mounts) &&
        typeof record.state?.status === "string";
      return isWhole ? (record as ContainerRecord) : undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * Writes one; the former stays until the new one is whole. Never throws: the record itself is stored, and the next start
   * writes what is missing. What a loss of power takes of it is of no use to anybody while the record is there. `text` is
   * the record as JSON.
   */
  write(record: ContainerRecord, text = JSON.stringify(record)): void {
    try {
      writeSideFile(this.#path(record.id), text);
    } catch (error) {
      log.debug("no copy of a container's record", { container: record.name, error: errorText(error) });
    }
  }

  /** Writes one where it says something else, or is not there. */
  refresh(record: ContainerRecord): void {
    dropSideFile(newSideFile(this.#path(record.id)));
    let text: string | undefined;
    try {
      text = readFileSync(this.#path(record.id), "utf8");
    } catch {
      // It is made.
    }
    const wanted = JSON.stringify(record);
    if (text !== wanted) this.write(record, wanted);
  }

  /**
   * Throws when it cannot be removed. One of `--rm` that is there again after a loss of power puts on record what the next
   * start removes, as it does with one that ran then: nothing waits for the disk.
   */
  remove({ id, hostConfig }: ContainerRecord): void {
    if (hostConfig.AutoRemove === true) dropSideFile(this.#path(id));
    else removeSideFile(this.#path(id));
  }
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}
