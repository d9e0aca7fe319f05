/** A builder for tests, in directories of its own: whatever needs no running container. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Background } from "../base/background.ts";
import { openDatabase } from "../base/database.ts";
import { FsContentStore } from "../content/fs-content-store.ts";
import { createImageStore } from "../image/image-store.ts";
import { ImageGarbage } from "../image/garbage.ts";
import { registerImage } from "../image/register.ts";
import { RegistryClient } from "../registry/client.ts";
import { createSnapshotter } from "../snapshot/create-snapshotter.ts";
import type {
  BuildEvent,
  Builder,
  BuildRequest,
  BuildResult,
  FileListing,
  RemoteDirectory,
} from "./build.ts";
import { createBuilder } from "./builder.ts";
import { CacheStore } from "./cache-store.ts";
import { type BuilderSettings, defaultBuilderSettings } from "./gc-policy.ts";
import type { BuildHost } from "./host.ts";

export interface TestBuilder extends AsyncDisposable {
  readonly builder: Builder;
  readonly host: BuildHost;
  readonly directory: string;
  /** Builds files; what it told is in `events`. */
  build(
    files: Readonly<Record<string, string>>,
    options?: Partial<BuildRequest>,
  ): Promise<BuildResult & { readonly events: BuildEvent[] }>;
}

const unused = (): never => {
  throw new Error("this test runs no container and asks no registry for images");
};

export async function testBuilder(settings: BuilderSettings = defaultBuilderSettings): Promise<TestBuilder> {
  const directory = mkdtempSync(join(tmpdir(), "gantry-builder-"));
  const database = openDatabase(join(directory, "gantry.db"));
  const content = new FsContentStore(join(directory, "content"));
  const snapshotter = createSnapshotter({ driver: undefined, root: join(directory, "snapshots") });
  const images = createImageStore(database);
  const cache = new CacheStore(database);
  const garbage = new ImageGarbage({ content, snapshotter, images, pins: () => cache.pins() });
  const background = new Background();
  const host: BuildHost = {
    config: {
      dataRoot: directory,
      execRoot: join(directory, "exec"),
      cgroupParent: "gantry-builder-test",
      cdiDirectories: [],
      dns: [],
      dnsOptions: [],
      dnsSearch: [],
      builder: settings,
    },
    database,
    content,
    snapshotter,
    images,
    network: new Proxy({}, { get: unused }) as BuildHost["network"],
    background,
    registry: new RegistryClient({ insecureRegistries: [], registryMirrors: [], maxDownloadAttempts: 2 }),
    runtimes: unused,
    hostConfig: unused,
    lease: () => garbage.lease(),
    collect: (candidates) => void garbage.collect(candidates),
    pull: unused,
    push: unused,
    async register(image, lease) {
      const register = registerImage({ content, snapshotter, images }, image, lease);
      let progress = await register.next();
      while (progress.done !== true) progress = await register.next();
      return progress.value;
    },
    emit: () => {},
  };
  const builder = await createBuilder(host, cache);
  let builds = 0;
  return {
    builder,
    host,
    directory,
    async build(files, options = {}) {
      const events: BuildEvent[] = [];
      const context = memoryDirectory(files);
      const result = await builder.build({
        id: `test-${++builds}`,
        signal: new AbortController().signal,
        onEvent: (event) => events.push(event),
        context,
        exports: [{ type: "image", names: [] }],
        ...options,
      });
      return { ...result, events };
    },
    async [Symbol.asyncDispose]() {
      await background.idle();
      await snapshotter.idle();
      database.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export interface MemoryDirectory extends RemoteDirectory {
  /** Paths whose bytes were asked for, over all builds. */
  readonly asked: string[];
}

/** A client's directory that is not there: names and texts. */
export function memoryDirectory(
  files: Readonly<Record<string, string>>,
  sharedKey = "test",
): MemoryDirectory {
  const asked: string[] = [];
  return {
    kind: "remote",
    name: "context",
    sharedKey,
    asked,
    async open({ include }): Promise<FileListing> {
      const names = Object.keys(files).filter((name) => include.length === 0 || include.includes(name));
      const directories = new Set(names.flatMap(parentsOf));
      const all = [...directories, ...names].sort();
      return {
        files: (async function* () {
          for (const path of all)
            yield {
              path,
              mode: directories.has(path) ? 0o040755 : 0o100644,
              uid: 0,
              gid: 0,
              sizeBytes: directories.has(path) ? 0 : Buffer.byteLength(files[path]!),
              timeNs: 1_700_000_000_000_000_000n + BigInt(files[path]?.length ?? 0),
            };
        })(),
        async *read({ path }) {
          asked.push(path);
          yield Buffer.from(files[path]!);
        },
        async [Symbol.asyncDispose]() {},
      };
    },
  };
}

function parentsOf(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

/** The steps that are through. */
export const vertices = (events: readonly BuildEvent[]): { name: string; cached: boolean }[] =>
  events.flatMap((event) =>
    event.kind === "vertex" && event.completedNs !== undefined && /^\[.*\d+\/\d+\]/.test(event.name)
      ? [{ name: event.name, cached: event.cached }]
      : [],
  );

export const isAllCached = (events: readonly BuildEvent[]): boolean =>
  vertices(events).every(({ cached }) => cached);
