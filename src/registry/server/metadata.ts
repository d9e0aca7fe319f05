/**
 * What a registry knows about its blobs: which repository has which, its manifests, what they refer to, and its tags.
 * SQLite; a push is there whole or not at all, whenever the process ends. The bytes are in a content store.
 */
import type { StatementSync } from "node:sqlite";
import { type Database, transaction } from "../../base/database.ts";
import { openTables } from "../../base/schema.ts";

export interface ManifestRecord {
  readonly digest: string;
  readonly mediaType: string;
  readonly sizeBytes: number;
  /** Digest of the manifest that this one says something about. */
  readonly subject: string | undefined;
  /** `artifactType`, or the configuration's media type. */
  readonly artifactType: string | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
  /** Milliseconds since the epoch. */
  readonly pushedAtMs: number;
}

/** What a manifest refers to. */
export interface ManifestLinks {
  readonly blobs: readonly string[];
  readonly manifests: readonly string[];
}

export interface TagRecord {
  readonly name: string;
  readonly digest: string;
  readonly updatedAtMs: number;
}

/** One page of a list sorted by byte values; `last` is the name before its first. */
export interface Page {
  readonly last: string;
  readonly limit: number;
}

type Row = Readonly<Record<string, string | number | null>>;

const tables = `
  CREATE TABLE IF NOT EXISTS blobs (
    repository TEXT NOT NULL, digest TEXT NOT NULL, linked_at INTEGER NOT NULL, PRIMARY KEY (repository, digest)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS blobs_by_digest ON blobs (digest);
  CREATE TABLE IF NOT EXISTS manifests (
    repository TEXT NOT NULL, digest TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER NOT NULL, subject TEXT,
    artifact_type TEXT, annotations TEXT, pushed_at INTEGER NOT NULL, PRIMARY KEY (repository, digest)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS manifests_by_digest ON manifests (digest);
  CREATE INDEX IF NOT EXISTS manifests_by_subject ON manifests (repository, subject);
  CREATE TABLE IF NOT EXISTS links (
    repository TEXT NOT NULL, manifest TEXT NOT NULL, target TEXT NOT NULL, is_manifest INTEGER NOT NULL,
    PRIMARY KEY (repository, manifest, target, is_manifest)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS links_by_target ON links (repository, target);
  CREATE TABLE IF NOT EXISTS tags (
    repository TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, updated_at INTEGER NOT NULL,
    PRIMARY KEY (repository, name)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS tags_by_digest ON tags (repository, digest);
  CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, repository TEXT NOT NULL, started_at INTEGER NOT NULL
  ) WITHOUT ROWID;
`;

export class RegistryMetadata {
  readonly database: Database;
  readonly #statements = new Map<string, StatementSync>();

  constructor(database: Database) {
    this.database = database;
    // A push that was answered must survive a loss of power.
    database.exec("PRAGMA synchronous = FULL");
    openTables(database, { room: "registry", tables });
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.database.prepare(sql)));
    return statement;
  }

  all(sql: string, ...values: (string | number | null)[]): Row[] {
    return this.#prepare(sql).all(...values) as Row[];
  }

  run(sql: string, ...values: (string | number | null)[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  #has(sql: string, ...values: string[]): boolean {
    return this.#prepare(sql).get(...values) !== undefined;
  }

  hasBlob(repository: string, digest: string): boolean {
    return this.#has("SELECT 1 FROM blobs WHERE repository = ? AND digest = ?", repository, digest);
  }

  /** Says that the repository has the blob; its time is that of the last push. */
  linkBlob(repository: string, digest: string): void {
    this.run(
      `INSERT INTO blobs (repository, digest, linked_at) VALUES (?, ?, ?)
       ON CONFLICT (repository, digest) DO UPDATE SET linked_at = excluded.linked_at`,
      repository,
      digest,
      Date.now(),
    );
  }

  /** Somebody counts on the blob being there: a collection leaves it alone for another while. */
  touchBlob(repository: string, digest: string): void {
    const nowMs = Date.now();
    this.run(
      "UPDATE blobs SET linked_at = ? WHERE repository = ? AND digest = ? AND linked_at < ?",
      nowMs,
      repository,
      digest,
      nowMs - 60_000,
    );
  }

  /** False when the repository did not have it. */
  unlinkBlob(repository: string, digest: string): boolean {
    return this.run("DELETE FROM blobs WHERE repository = ? AND digest = ?", repository, digest) > 0;
  }

  manifest(repository: string, digest: string): ManifestRecord | undefined {
    const [row] = this.all("SELECT * FROM manifests WHERE repository = ? AND digest = ?", repository, digest);
    return row === undefined ? undefined : toManifest(row);
  }

  manifests(repository: string): ManifestRecord[] {
    return this.all("SELECT * FROM manifests WHERE repository = ?", repository).map(toManifest);
  }

  /** Stores a manifest and, when one is given, points a tag to it: both or neither. */
  putManifest(
    repository: string,
    manifest: ManifestRecord,
    links: ManifestLinks,
    tag: string | undefined,
  ): void {
    const { digest, mediaType, sizeBytes, subject, artifactType, annotations, pushedAtMs } = manifest;
    transaction(this.database, () => {
      this.run(
        `INSERT INTO manifests VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (repository, digest) DO UPDATE SET media_type = excluded.media_type, pushed_at = excluded.pushed_at`,
        repository,
        digest,
        mediaType,
        sizeBytes,
        subject ?? null,
        artifactType ?? null,
        annotations === undefined ? null : JSON.stringify(annotations),
        pushedAtMs,
      );
      const link = (target: string, isManifest: number): number =>
        this.run("INSERT OR IGNORE INTO links VALUES (?, ?, ?, ?)", repository, digest, target, isManifest);
      for (const target of links.blobs) link(target, 0);
      for (const target of links.manifests) link(target, 1);
      if (tag !== undefined) this.#setTag(repository, tag, digest);
    });
  }

  #setTag(repository: string, tag: string, digest: string): void {
    this.run(
      `INSERT INTO tags VALUES (?, ?, ?, ?)
       ON CONFLICT (repository, name) DO UPDATE SET digest = excluded.digest, updated_at = excluded.updated_at`,
      repository,
      tag,
      digest,
      Date.now(),
    );
  }

  /** Removes a manifest with the tags that point to it. False when the repository did not have it. */
  deleteManifest(repository: string, digest: string): boolean {
    return transaction(this.database, () => this.dropManifest(repository, digest));
  }

  /** {@link deleteManifest} inside a transaction of the caller's. */
  dropManifest(repository: string, digest: string): boolean {
    this.run("DELETE FROM tags WHERE repository = ? AND digest = ?", repository, digest);
    this.run("DELETE FROM links WHERE repository = ? AND manifest = ?", repository, digest);
    return this.run("DELETE FROM manifests WHERE repository = ? AND digest = ?", repository, digest) > 0;
  }

  /** The digest that a tag points to. */
  tag(repository: string, name: string): string | undefined {
    const [row] = this.all("SELECT digest FROM tags WHERE repository = ? AND name = ?", repository, name);
    return row === undefined ? undefined : String(row["digest"]);
  }

  deleteTag(repository: string, name: string): boolean {
    return this.run("DELETE FROM tags WHERE repository = ? AND name = ?", repository, name) > 0;
  }

  tags(repository: string, page: Page): TagRecord[] {
    return this.all(
      "SELECT name, digest, updated_at FROM tags WHERE repository = ? AND name > ? ORDER BY name LIMIT ?",
      repository,
      page.last,
      page.limit,
    ).map((row) => ({
      name: String(row["name"]),
      digest: String(row["digest"]),
      updatedAtMs: Number(row["updated_at"]),
    }));
  }

  /** True for a repository that has anything at all. */
  hasRepository(repository: string): boolean {
    return (
      this.#has("SELECT 1 FROM manifests WHERE repository = ? LIMIT 1", repository) ||
      this.#has("SELECT 1 FROM blobs WHERE repository = ? LIMIT 1", repository)
    );
  }

  /** Names of repositories with at least one manifest. */
  repositories(page: Page): string[] {
    return this.all(
      "SELECT DISTINCT repository FROM manifests WHERE repository > ? ORDER BY repository LIMIT ?",
      page.last,
      page.limit,
    ).map((row) => String(row["repository"]));
  }

  /** The manifests whose subject is `digest`, by digest. */
  referrers(repository: string, digest: string, page: Page): ManifestRecord[] {
    return this.all(
      "SELECT * FROM manifests WHERE repository = ? AND subject = ? AND digest > ? ORDER BY digest LIMIT ?",
      repository,
      digest,
      page.last,
      page.limit,
    ).map(toManifest);
  }

  links(repository: string, manifest: string): ManifestLinks {
    const rows = this.all(
      "SELECT target, is_manifest FROM links WHERE repository = ? AND manifest = ?",
      repository,
      manifest,
    );
    const targets = (isManifest: number): string[] =>
      rows.filter((row) => row["is_manifest"] === isManifest).map((row) => String(row["target"]));
    return { blobs: targets(0), manifests: targets(1) };
  }

  /** True while any repository has the blob or manifest. */
  isUsed(digest: string): boolean {
    return (
      this.#has("SELECT 1 FROM blobs WHERE digest = ? LIMIT 1", digest) ||
      this.#has("SELECT 1 FROM manifests WHERE digest = ? LIMIT 1", digest)
    );
  }

  counts(): { repositories: number; manifests: number; tags: number } {
    const count = (sql: string): number => Number(this.all(sql)[0]?.["n"] ?? 0);
    return {
      repositories: count("SELECT count(DISTINCT repository) AS n FROM manifests"),
      manifests: count("SELECT count(*) AS n FROM manifests"),
      tags: count("SELECT count(*) AS n FROM tags"),
    };
  }
}

function toManifest(row: Row): ManifestRecord {
  const text = (name: string): string | undefined => (typeof row[name] === "string" ? row[name] : undefined);
  const annotations = text("annotations");
  return {
    digest: text("digest") ?? "",
    mediaType: text("media_type") ?? "",
    sizeBytes: Number(row["size"]),
    subject: text("subject"),
    artifactType: text("artifact_type"),
    annotations: annotations === undefined ? undefined : (JSON.parse(annotations) as Record<string, string>),
    pushedAtMs: Number(row["pushed_at"]),
  };
}
