/** Images as an engine has them, in a directory of their own; for tests. */
import assert from "node:assert/strict";
import { createReadStream, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach } from "node:test";
import { openDatabase, type Database } from "../base/database.ts";
import { isKind } from "../base/errors.ts";
import { FsContentStore } from "../content/fs-content-store.ts";
import type { ImageStore } from "../image/image.ts";
import { createImageStore } from "../image/image-store.ts";
import { createSnapshotter } from "../snapshot/create-snapshotter.ts";
import type { Snapshotter } from "../snapshot/snapshot.ts";
import type { ProgressMessage } from "../wire/image.ts";
import type { ImageDeps, ImageUser, TransferSettings } from "./image-deps.ts";
import { createImageUseCases, type ImageUseCases } from "./image-use-cases.ts";

export interface OpenImages {
  readonly database: Database;
  readonly content: FsContentStore;
  readonly snapshotter: Snapshotter;
  readonly images: ImageStore;
  readonly cases: ReturnType<typeof createImageUseCases>;
}

export interface OpenImagesOptions extends Partial<
  Pick<ImageDeps, "registryPlace" | "isImageUsed" | "emit">
> {
  readonly transfers?: Partial<TransferSettings>;
  readonly driver?: "overlay2" | "vfs";
}

/** Opens everything below `root`, as a new daemon would. */
export function openImages(root: string, options: OpenImagesOptions = {}): OpenImages {
  const { transfers, driver = "overlay2", registryPlace, isImageUsed, emit } = options;
  const database = openDatabase(join(root, "gantry.db"));
  const content = new FsContentStore(join(root, "content"));
  const snapshotter = createSnapshotter({ driver, root: join(root, "snapshots") });
  const images = createImageStore(database);
  const cases = createImageUseCases({
    content,
    snapshotter,
    images,
    transfers: {
      insecureRegistries: [],
      registryMirrors: [],
      maxConcurrentDownloads: 3,
      maxConcurrentUploads: 5,
      maxDownloadAttempts: 2,
      ...transfers,
    },
    ...(registryPlace === undefined ? {} : { registryPlace }),
    isImageUsed: isImageUsed ?? (() => []),
    emit: emit ?? (() => {}),
  });
  return { database, content, snapshotter, images, cases };
}

/** Neither images nor anything that they are made of are below the `root` of {@link openImages}. */
export async function assertNoImages(
  root: string,
  { images, content, snapshotter }: OpenImages,
): Promise<void> {
  await snapshotter.idle();
  assert.deepEqual(images.list(), []);
  assert.deepEqual(content.list(), []);
  assert.deepEqual(snapshotter.list(), []);
  for (const name of ["tmp", "trash", "layers", "l"])
    assert.deepEqual(readdirSync(join(root, "snapshots/overlay2", name)), [], name);
  assert.deepEqual(readdirSync(join(root, "content/ingest")), []);
}

async function all(messages: AsyncIterable<ProgressMessage>): Promise<ProgressMessage[]> {
  const list: ProgressMessage[] = [];
  for await (const message of messages) list.push(message);
  return list;
}

/** New for each test of the file that makes it. */
export class ImageBench {
  readonly users = new Map<string, ImageUser[]>();
  readonly events: string[] = [];
  readonly #signal = new AbortController().signal;
  #work = "";
  #open: OpenImages | undefined;

  constructor() {
    beforeEach(() => {
      this.#work = mkdtempSync(join(tmpdir(), "gantry-image-"));
      this.open();
    });
    afterEach(async () => {
      this.users.clear();
      await this.snapshotter.idle();
      this.database.close();
      rmSync(this.#work, { recursive: true });
    });
  }

  /** A directory that goes with the test. */
  get work(): string {
    return this.#work;
  }

  get #opened(): OpenImages {
    assert.ok(this.#open !== undefined, "in a test only");
    return this.#open;
  }

  get database(): Database {
    return this.#opened.database;
  }

  get content(): FsContentStore {
    return this.#opened.content;
  }

  get snapshotter(): Snapshotter {
    return this.#opened.snapshotter;
  }

  get images(): ImageStore {
    return this.#opened.images;
  }

  get cases(): ImageUseCases {
    return this.#opened.cases;
  }

  open(root = join(this.#work, "data")): void {
    this.events.length = 0;
    this.#open = openImages(root, {
      isImageUsed: (id) => this.users.get(id) ?? [],
      emit: (type, action, id, attributes) =>
        this.events.push(`${type} ${action} ${id} ${attributes["name"]}`),
    });
  }

  pull(image: string, tag?: string, platform?: string): Promise<ProgressMessage[]> {
    return all(this.cases.imagePull({ image, tag, platform, signal: this.#signal }));
  }

  load(archive: Buffer | string, quiet = true): Promise<ProgressMessage[]> {
    const stream = typeof archive === "string" ? createReadStream(archive) : Readable.from([archive]);
    return all(this.cases.imageLoad(stream, { quiet, signal: this.#signal }));
  }

  /** Returns the image's id. */
  async importTar(tar: Buffer, name?: string, changes: string[] = []): Promise<string> {
    const messages = await all(
      this.cases.imageImport({
        source: Readable.from([tar]),
        signal: this.#signal,
        repository: name,
        tag: undefined,
        message: undefined,
        changes,
        platform: undefined,
      }),
    );
    return messages.at(-1)!.status!;
  }

  /** Returns the archive's path. */
  async save(file: string, ...names: string[]): Promise<string> {
    const path = join(this.#work, file);
    writeFileSync(path, await buffer(await this.cases.imageSave(names)));
    return path;
  }

  async assertNothingLeft(): Promise<void> {
    await assertNoImages(join(this.#work, "data"), this.#opened);
  }
}

/** For `assert.rejects`: an error of a kind, with a message that is `text` or matches it. */
export const kind =
  (wanted: Parameters<typeof isKind>[1], text?: string | RegExp) =>
  (error: unknown): boolean => {
    assert.ok(isKind(error, wanted), String(error));
    if (typeof text === "string") assert.equal(error.message, text);
    else if (text !== undefined) assert.match(error.message, text);
    return true;
  };
