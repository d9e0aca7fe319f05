/** An engine's images, and a registry in this process that answers as a test says; new for each test. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "node:test";
import { gzipSync } from "node:zlib";
import { EngineError, errorText } from "../../src/base/errors.ts";
import { assertNoImages, openImages, type OpenImages } from "../../src/engine/image.fixture.ts";
import { digestOf } from "../../src/oci/digest.ts";
import type { Snapshotter } from "../../src/snapshot/snapshot.ts";

/** Answers in the registry's place when it returns true. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => boolean;

export const types = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  gzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  plain: "application/vnd.oci.image.layer.v1.tar",
};

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  urls?: string[];
}

export interface PackedLayer {
  readonly tar: Buffer;
  readonly packed: Buffer;
  readonly type?: string;
}

export const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

export const packed = (tar: Buffer): PackedLayer => ({ tar, packed: gzipSync(tar) });

const typeOf = (bytes: Buffer): string => (JSON.parse(bytes.toString()) as { mediaType: string }).mediaType;

export class HostileRegistry {
  readonly blobs = new Map<string, Buffer>();
  /** What the tag names. */
  top: { readonly bytes: Buffer; readonly type: string } = { bytes: Buffer.alloc(0), type: "" };
  answer: Answer = () => false;
  #root = "";
  #images: OpenImages | undefined;
  #server: Server | undefined;

  constructor() {
    beforeEach(() => this.#start());
    afterEach(() => this.#stop());
  }

  async #start(): Promise<void> {
    this.#root = mkdtempSync(join(tmpdir(), "gantry-test-hostile-"));
    mkdirSync(this.outside);
    writeFileSync(join(this.outside, "secret"), "untouched");
    this.#server = createServer((request, response) => {
      if (!this.answer(request, response)) this.#serve(request, response);
    });
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.#images = openImages(this.#root, {
      transfers: { maxDownloadAttempts: 3 },
      registryPlace: {
        retryDelayMs: 5,
        silenceTimeoutMs: 300,
        environment: {},
        certsDirectory: join(this.#root, "certs.d"),
      },
    });
  }

  async #stop(): Promise<void> {
    this.answer = () => false;
    this.blobs.clear();
    this.#server?.closeAllConnections();
    this.#server?.close();
    await this.snapshotter.idle();
    this.#images?.database.close();
    rmSync(this.#root, { recursive: true });
  }

  /** A directory that goes with the test. */
  get root(): string {
    return this.#root;
  }

  /** A directory that no image may touch. */
  get outside(): string {
    return join(this.#root, "outside");
  }

  get #opened(): OpenImages {
    assert.ok(this.#images !== undefined, "in a test only");
    return this.#images;
  }

  get snapshotter(): Snapshotter {
    return this.#opened.snapshotter;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? "";
    const name = path.split("/").at(-1) ?? "";
    if (path === "/v2/") response.end("{}");
    else if (path.includes("/manifests/")) {
      const isTop = !name.includes(":") || name === digestOf(this.top.bytes);
      const bytes = isTop ? this.top.bytes : this.blobs.get(name);
      if (bytes === undefined) response.writeHead(404).end();
      else response.writeHead(200, { "Content-Type": isTop ? this.top.type : typeOf(bytes) }).end(bytes);
    } else {
      const bytes = this.blobs.get(name);
      if (bytes === undefined) response.writeHead(404).end();
      else response.writeHead(200, { "Content-Length": bytes.length }).end(bytes);
    }
  }

  blob(bytes: Buffer, mediaType: string): Descriptor {
    const digest = digestOf(bytes);
    this.blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  }

  /** The tag is an image of these layers; `change` makes its manifest lie. */
  image(
    layers: readonly PackedLayer[],
    change: (manifest: {
      config: Descriptor;
      layers: Descriptor[];
      [key: string]: unknown;
    }) => void = () => {},
  ): void {
    const config = {
      architecture: "amd64",
      os: "linux",
      config: {},
      rootfs: { type: "layers", diff_ids: layers.map(({ tar }) => digestOf(tar)) },
    };
    const manifest = {
      schemaVersion: 2,
      mediaType: types.manifest,
      config: this.blob(json(config), types.config),
      layers: layers.map((layer) => this.blob(layer.packed, layer.type ?? types.gzip)),
    };
    change(manifest);
    this.top = { bytes: json(manifest), type: types.manifest };
  }

  async pull(): Promise<void> {
    const { port } = this.#server!.address() as AddressInfo;
    const signal = new AbortController().signal;
    for await (const _ of this.#opened.cases.imagePull({
      image: `127.0.0.1:${port}/bad`,
      tag: "1",
      platform: "linux/amd64",
      signal,
    }));
  }

  /** The pull fails with a sentence for people; nothing is left. */
  async assertRefused(words: RegExp): Promise<void> {
    await assert.rejects(this.pull(), (error: unknown) => {
      assert.ok(error instanceof EngineError, `no sentence: ${errorText(error)}`);
      assert.match(error.message, words);
      return true;
    });
    await assertNoImages(this.#root, this.#opened);
    assert.deepEqual(readdirSync(this.outside), ["secret"]);
    assert.equal(readFileSync(join(this.outside, "secret"), "utf8"), "untouched");
  }
}
