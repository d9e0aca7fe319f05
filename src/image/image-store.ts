import { type Database, parseColumn, transaction } from "../base/database.ts";
import { invalidArgument, notFound } from "../base/errors.ts";
import { crashpoint } from "../base/failpoint.ts";
import { openTables } from "../base/schema.ts";
import { nowRfc3339, zeroTime } from "../base/time.ts";
import {
  familiarReference,
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
} from "../oci/reference.ts";
import { chainIds } from "../oci/chain-id.ts";
import { blobsOf } from "./garbage.ts";
import type { ImageRecord, ImageStore } from "./image.ts";
import type { ImageCopies, ImageCopy } from "./image-copies.ts";

/** What is stored of an image; its names are rows of their own. */
type StoredImage = Omit<ImageRecord, "repoTags" | "repoDigests" | "lastTagTime">;

/** Image records and names in the engine's database, with all of them in memory too, as the container store does. */
export function createImageStore(database: Database, copies?: ImageCopies): ImageStore {
  return new SqliteImageStore(database, copies);
}

class SqliteImageStore implements ImageStore {
  readonly #database: Database;
  readonly #images = new Map<string, StoredImage>();
  /** Of images that others were made from: how many. */
  readonly #childCounts = new Map<string, number>();
  /** Normalised reference -> image id and when it was given. */
  readonly #names = new Map<string, { readonly id: string; readonly taggedAt: string }>();

  readonly #copies: ImageCopies | undefined;
  /** Images whose copies are to be written at the end of the transaction. */
  readonly #changed = new Set<string>();

  constructor(database: Database, copies: ImageCopies | undefined) {
    this.#database = database;
    this.#copies = copies;
    openTables(database, {
      room: "image",
      tables: `CREATE TABLE IF NOT EXISTS images (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
       CREATE TABLE IF NOT EXISTS image_names (
         reference TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE, tagged_at TEXT NOT NULL
       ) STRICT`,
    });
    this.#read();
  }

  #read(): void {
    this.#images.clear();
    this.#names.clear();
    this.#childCounts.clear();
    for (const row of this.#database.prepare("SELECT record FROM images").all()) {
      const image = parseColumn(this.#database, row["record"]) as StoredImage;
      this.#images.set(image.id, image);
      this.#countChild(image.parentId, 1);
    }
    for (const row of this.#database.prepare("SELECT reference, image, tagged_at FROM image_names").all())
      this.#names.set(String(row["reference"]), {
        id: String(row["image"]),
        taggedAt: String(row["tagged_at"]),
      });
  }

  atomically<T>(work: () => T): T {
    if (this.#database.isTransaction) return work();
    try {
      return transaction(this.#database, work);
    } catch (error) {
      // What is in memory was ahead of what is stored.
      this.#read();
      throw error;
    } finally {
      this.#writeCopies();
    }
  }

  /** In a transaction it waits for its end: a copy is never ahead of its record. */
  #noteChange(id: string): void {
    this.#changed.add(id);
    if (!this.#database.isTransaction) this.#writeCopies();
  }

  #writeCopies(): void {
    for (const id of this.#changed) this.#writeCopy(id);
    this.#changed.clear();
  }

  #writeCopy(id: string): void {
    const image = this.#images.get(id);
    if (image === undefined) return;
    const { manifestDigest, manifestMediaType, parentId, config } = image;
    this.#copies?.write({
      id,
      manifestDigest,
      manifestMediaType,
      ...(parentId === undefined ? {} : { parentId }),
      names: [...this.#names].filter(([, target]) => target.id === id).map(([name]) => name),
      needs: [...blobsOf(image), ...chainIds(config.rootfs.diff_ids)],
    });
  }

  lost(): ImageCopy[] {
    const ids = (this.#copies?.ids() ?? []).filter((id) => !this.#images.has(id));
    return ids.map((id) => this.#copies?.read(id)).filter((copy) => copy !== undefined);
  }

  forgetLost(id: string): void {
    if (!this.#images.has(id)) this.#copies?.remove(id);
  }

  refreshCopies(): void {
    this.#copies?.sweep();
    for (const id of this.#images.keys()) this.#writeCopy(id);
  }

  list(): ImageRecord[] {
    return [...this.#images.values()].map((image) => this.#withNames(image));
  }

  byId(id: string): ImageRecord | undefined {
    const image = this.#images.get(id);
    return image === undefined ? undefined : this.#withNames(image);
  }

  hasChildren(id: string): boolean {
    return this.#childCounts.has(id);
  }

  #countChild(parentId: string | undefined, by: 1 | -1): void {
    if (parentId === undefined) return;
    const count = (this.#childCounts.get(parentId) ?? 0) + by;
    if (count === 0) this.#childCounts.delete(parentId);
    else this.#childCounts.set(parentId, count);
  }

  find(nameOrId: string): ImageRecord | undefined {
    try {
      return this.resolve(nameOrId);
    } catch {
      return undefined;
    }
  }

  resolve(nameOrId: string): ImageRecord {
    const id = this.#findId(nameOrId);
    if (id === undefined) throw notFound(`No such image: ${familiarForm(nameOrId)}`);
    return this.#withNames(this.#images.get(id)!);
  }

  /** A name goes before an id prefix that reads the same, as with Docker; a full id before everything. */
  #findId(text: string): string | undefined {
    const hex = text.startsWith("sha256:") ? text.slice("sha256:".length) : text;
    if (this.#images.has(`sha256:${hex}`)) return `sha256:${hex}`;
    if (text !== hex) return this.#findByPrefix(hex, text);
    if (/^[0-9a-f]{64}$/.test(text)) return undefined;
    const reference = withDefaultTag(parseReference(text));
    return (
      this.#findByReference(reference) ??
      (/^[0-9a-f]+$/.test(text) ? this.#findByPrefix(text, text) : undefined)
    );
  }

  #findByReference(reference: Reference): string | undefined {
    const { digest } = reference;
    if (digest === undefined) return this.#names.get(formatReference(reference))?.id;
    const { domain, path } = reference;
    const named = this.#names.get(formatReference({ domain, path, digest }))?.id;
    if (named !== undefined) return named;
    // `name@<image id>` finds the image too when it has a name of that repository.
    const prefix = `${domain}/${path}`;
    for (const [name, { id }] of this.#names)
      if (id === digest && (name.startsWith(`${prefix}:`) || name.startsWith(`${prefix}@`))) return id;
    return undefined;
  }

  #findByPrefix(hex: string, asked: string): string | undefined {
    const matches = [...this.#images.keys()].filter((id) => id.startsWith(`sha256:${hex}`));
    if (matches.length > 1)
      throw invalidArgument(`image ID prefix ${asked} is ambiguous: it fits ${matches.length} images`, {
        hint: "Give more digits of the image's id.",
      });
    return matches[0];
  }

  #withNames(image: StoredImage): ImageRecord {
    const repoTags: string[] = [];
    const repoDigests: string[] = [];
    let lastTagTime = zeroTime;
    // In the order of the whole names, as Docker has them: `docker.io/app/x` is before `docker.io/library/aaa`.
    const own = [...this.#names].filter(([, { id }]) => id === image.id);
    for (const [name, { taggedAt }] of own.toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      const familiar = familiarReference(parseReference(name));
      if (name.includes("@")) repoDigests.push(familiar);
      else {
        repoTags.push(familiar);
        if (taggedAt > lastTagTime) lastTagTime = taggedAt;
      }
    }
    return { ...image, repoTags, repoDigests, lastTagTime };
  }

  put(given: StoredImage): ImageRecord {
    const before = this.#images.get(given.id);
    const parentId = given.parentId ?? before?.parentId;
    const image = parentId === undefined ? given : { ...given, parentId };
    this.#database
      .prepare(
        "INSERT INTO images (id, record) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record",
      )
      .run(image.id, JSON.stringify(image));
    this.#countChild(before?.parentId, -1);
    this.#countChild(parentId, 1);
    this.#images.set(image.id, image);
    this.#noteChange(image.id);
    return this.#withNames(image);
  }

  tag(reference: string, id: string): void {
    if (!this.#images.has(id)) throw notFound(`No such image: ${id}`);
    const name = formatReference(withDefaultTag(parseReference(reference)));
    const taggedAt = nowRfc3339();
    crashpoint("image-tag.before-record");
    this.#database
      .prepare(
        `INSERT INTO image_names (reference, image, tagged_at) VALUES (?, ?, ?)
         ON CONFLICT (reference) DO UPDATE SET image = excluded.image, tagged_at = excluded.tagged_at`,
      )
      .run(name, id, taggedAt);
    crashpoint("image-tag.recorded");
    const before = this.#names.get(name)?.id;
    this.#names.set(name, { id, taggedAt });
    this.#noteChange(id);
    if (before !== undefined && before !== id) this.#noteChange(before);
  }

  untag(reference: string): void {
    const name = formatReference(withDefaultTag(parseReference(reference)));
    const named = this.#names.get(name);
    if (named === undefined) throw notFound(`No such image: ${familiarForm(reference)}`);
    this.#database.prepare("DELETE FROM image_names WHERE reference = ?").run(name);
    this.#names.delete(name);
    this.#noteChange(named.id);
  }

  remove(id: string): void {
    // First: one without a record is taken for one that was lost.
    this.#copies?.remove(id);
    // When the transaction that this is a part of fails, the image is still there.
    if (this.#database.isTransaction) this.#changed.add(id);
    try {
      this.atomically(() => {
        this.#database.prepare("DELETE FROM image_names WHERE image = ?").run(id);
        this.#database.prepare("DELETE FROM images WHERE id = ?").run(id);
      });
    } catch (error) {
      this.#noteChange(id);
      throw error;
    }
    crashpoint("image-remove.recorded");
    this.#countChild(this.#images.get(id)?.parentId, -1);
    this.#images.delete(id);
    for (const [name, target] of this.#names) if (target.id === id) this.#names.delete(name);
  }
}

/** How a message names what was asked for: `busybox` becomes `busybox:latest`, ids stay as they are. */
function familiarForm(text: string): string {
  if (/^(sha256:)?[0-9a-f]{12,64}$/.test(text)) return text;
  try {
    return familiarReference(withDefaultTag(parseReference(text)));
  } catch {
    return text;
  }
}
