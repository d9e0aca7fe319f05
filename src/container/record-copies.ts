/**
 * A copy of each container's record beside its files: `containers/<id>/record.json`. It is written after the record and
 * removed before it, so a copy without a record says that the record was lost (a database from a backup, one that could
 * not be read) and whose the files are. What has neither was never acknowledged, or is being removed.
 */
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { isErrno, withFileErrors } from "../linux/fs-error.ts";
import type { ContainerRecord } from "./container.ts";

/** Names in `containers/` that are the engine's; what else is there is somebody else's. */
export const containerIdForm = /^[0-9a-f]{64}$/;

export class RecordCopies {
  readonly #root: string;

  /** `root` is the directory with one directory a container. */
  constructor(root: string) {
    this.#root = root;
  }

  #path(id: string): string {
    return join(this.#root, id, "record.json");
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
      return readdirSync(join(this.#root, id)).includes("record.json");
    } catch (error) {
      return !isErrno(error, "ENOENT", "ENOTDIR");
    }
  }

  /** Undefined for one that is not there or cannot be read. */
  read(id: string): ContainerRecord | undefined {
    try {
      const record = JSON.parse(readFileSync(this.#path(id), "utf8")) as Partial<ContainerRecord> | null;
      const isWhole =
        record?.id === id &&
        typeof record.name === "string" &&
        typeof record.imageId === "string" &&
        typeof record.config === "object" &&
        typeof record.hostConfig === "object" &&
        Array.isArray(record.mounts) &&
        typeof record.state?.status === "string";
      return isWhole ? (record as ContainerRecord) : undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * Writes one; the former stays until the new one is whole. Never throws: the record itself is stored, and the next start
   * writes what is missing. What a loss of power takes of it is of no use to anybody while the record is there.
   */
  write(record: ContainerRecord): void {
    const path = this.#path(record.id);
    const text = JSON.stringify(record);
    try {
      writeFileSync(`${path}.new`, text, { mode: 0o600 });
      renameSync(`${path}.new`, path);
    } catch (error) {
      log.debug("no copy of a container's record", { container: record.name, error: errorText(error) });
      this.#drop(`${path}.new`);
    }
  }

  #drop(path: string): void {
    try {
      rmSync(path, { force: true });
    } catch {
      // It goes with the directory.
    }
  }

  /** Writes one where it says something else, or is not there. */
  refresh(record: ContainerRecord): void {
    let text: string | undefined;
    try {
      text = readFileSync(this.#path(record.id), "utf8");
    } catch {
      // It is made.
    }
    if (text !== JSON.stringify(record)) this.write(record);
  }

  /** Throws when it cannot be removed. */
  remove(id: string): void {
    const path = this.#path(id);
    withFileErrors(`remove ${path}`, () => {
      try {
        unlinkSync(path);
      } catch (error) {
        if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
      }
    });
  }
}
