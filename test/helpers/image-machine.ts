/** An engine's images without a daemon, to push and pull with in this process. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { FsContentStore } from "../../src/content/fs-content-store.ts";
import { openImages, type OpenImages } from "../../src/engine/image.fixture.ts";
import type { Snapshotter } from "../../src/snapshot/snapshot.ts";
import { layerOf } from "../../src/snapshot/snapshot.fixture.ts";
import type { ProgressMessage } from "../../src/wire/image.ts";
import type { RegistryAuth } from "../../src/wire/registry.ts";

export interface Machine extends Disposable {
  readonly cases: OpenImages["cases"];
  readonly content: FsContentStore;
  readonly snapshotter: Snapshotter;
  readonly root: string;
  pull(
    name: string,
    options?: { tag?: string; platform?: string; credentials?: RegistryAuth },
  ): Promise<string[]>;
  push(name: string, tag: string | undefined, credentials?: RegistryAuth): Promise<string[]>;
  /** Digests and sizes of all that is stored. */
  blobs(): string[];
}

/** An engine's images in a data root of their own. */
export function machine(
  options: { mirrors?: string[]; attempts?: number; silenceMs?: number; env?: Record<string, string> } = {},
): Machine {
  const root = mkdtempSync(join(tmpdir(), "gantry-test-transfers-"));
  const { database, content, snapshotter, cases } = openImages(root, {
    transfers: { registryMirrors: options.mirrors ?? [], maxDownloadAttempts: options.attempts ?? 5 },
    registryPlace: {
      retryDelayMs: 10,
      silenceTimeoutMs: options.silenceMs ?? 10_000,
      environment: options.env ?? {},
      certsDirectory: join(root, "certs.d"),
    },
  });
  const signal = new AbortController().signal;
  return {
    cases,
    content,
    snapshotter,
    root,
    pull: (image, { tag, platform, credentials = {} } = {}) =>
      statuses(cases.imagePull({ image, tag, platform, credentials, signal })),
    push: (image, tag, credentials = {}) => statuses(cases.imagePush({ image, tag, credentials, signal })),
    blobs: () =>
      content
        .list()
        .map(({ digest, sizeBytes }) => `${digest} ${sizeBytes}`)
        .sort(),
    [Symbol.dispose]() {
      database.close();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** What a transfer says, a line each. */
export async function statuses(messages: AsyncIterable<ProgressMessage>): Promise<string[]> {
  const list: string[] = [];
  for await (const { status, id } of messages)
    if (status !== undefined) list.push(id === undefined ? status : `${id}: ${status}`);
  return list;
}

/** Makes an image of one layer with a file of text that does not compress, and names it. */
export async function makeImage(on: Machine, name: string, sizeBytes = 3_000_000): Promise<void> {
  const tar = layerOf({ name: "file", text: randomBytes(sizeBytes / 2).toString("hex") });
  const at = name.lastIndexOf(":");
  await statuses(
    on.cases.imageImport({
      source: Readable.from([tar]),
      signal: new AbortController().signal,
      repository: name.slice(0, at),
      tag: name.slice(at + 1),
      message: undefined,
      changes: [],
      platform: undefined,
    }),
  );
}
