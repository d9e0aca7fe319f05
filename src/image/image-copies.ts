/**
 * A note of each image beside the blobs, `images/<hex>.json`: what it consists of and what its names are. It is written
 * after the image's record and removed before it: one without a record says that the record was lost (a database from a
 * backup), and which blobs and layers are not garbage for that.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { dropSideFile, newSideFile, removeSideFile, writeSideFile } from "../linux/side-file.ts";

export interface ImageCopy {
  readonly id: string;
  readonly manifestDigest: string;
  readonly manifestMediaType: string;
  readonly parentId?: string;
  /** Normalised references. */
  readonly names: readonly string[];
  /** Digests of its blobs and chainIDs of its layers. */
  readonly needs: readonly string[];
}

const fileForm = /^[0-9a-f]{64}\.json$/;

export class ImageCopies {
  readonly #root: string;

  /** `root` is a directory of their own. */
  constructor(root: string) {
    this.#root = root;
  }

  #path(id: string): string {
    return join(this.#root, `${id.replace("sha256:", "")}.json`);
  }

  ids(): string[] {
    if (!existsSync(this.#root)) return [];
    return readdirSync(this.#root)
      .filter((name) => fileForm.test(name))
      .map((name) => `sha256:${name.slice(0, 64)}`);
  }

  /** Undefined for one that is not there or cannot be read. */
  read(id: string): ImageCopy | undefined {
    try {
      const copy = JSON.parse(readFileSync(this.#path(id), "utf8")) as Partial<ImageCopy> | null;
      const isWhole =
        copy?.id === id &&
        typeof copy.manifestDigest === "string" &&
        typeof copy.manifestMediaType === "string" &&
        Array.isArray(copy.names) &&
        Array.isArray(copy.needs);
      return isWhole ? (copy as ImageCopy) : undefined;
    } catch {
      return undefined;
    }
  }

  /** Writes one where it says something else, or is not there. Never throws: the record itself is stored. */
  write(copy: ImageCopy): void {
    const path = this.#path(copy.id);
    const text = JSON.stringify(copy);
    try {
      if (existsSync(path) && readFileSync(path, "utf8") === text) return;
      mkdirSync(this.#root, { recursive: true, mode: 0o700 });
      writeSideFile(path, text);
    } catch (error) {
      log.debug("no note of an image", { image: copy.id, error: errorText(error) });
    }
  }

  /** Removes what a process has left that was killed while it wrote. */
  sweep(): void {
    for (const name of existsSync(this.#root) ? readdirSync(this.#root) : [])
      if (name.endsWith(newSideFile(".json"))) dropSideFile(join(this.#root, name));
  }

  /** Throws when it cannot be removed. */
  remove(id: string): void {
    removeSideFile(this.#path(id));
  }
}
