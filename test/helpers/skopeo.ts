/** skopeo, and an image that it pushes. */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { gzipSync } from "node:zlib";
import type { GantryRegistry } from "./gantry-registry.ts";
import { busyboxTar } from "./images.ts";
import { mustRun } from "./process.ts";

async function writeLayout(path: string, tar: Buffer): Promise<void> {
  await mkdir(join(path, "blobs/sha256"), { recursive: true });
  const hex = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
  const put = async (mediaType: string, bytes: Buffer): Promise<object> => {
    await writeFile(join(path, "blobs/sha256", hex(bytes)), bytes);
    return { mediaType, digest: `sha256:${hex(bytes)}`, size: bytes.length };
  };
  const type = (name: string): string => `application/vnd.oci.image.${name}`;
  const layer = await put(type("layer.v1.tar+gzip"), gzipSync(tar));
  const config = {
    architecture: "amd64",
    os: "linux",
    config: { Cmd: ["sh"] },
    rootfs: { type: "layers", diff_ids: [`sha256:${hex(tar)}`] },
  };
  const manifest = await put(
    type("manifest.v1+json"),
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: type("manifest.v1+json"),
        config: await put(type("config.v1+json"), Buffer.from(JSON.stringify(config))),
        layers: [layer],
      }),
    ),
  );
  const named = { ...manifest, annotations: { "org.opencontainers.image.ref.name": "latest" } };
  await writeFile(join(path, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [named] }));
  await writeFile(join(path, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
}

export const skopeo = (args: readonly string[]): Promise<{ stdout: string }> =>
  mustRun(["skopeo", ...args], { timeoutMs: 60_000 });

export interface PushedImage {
  /** A directory of the test file's. */
  readonly directory: string;
  /** The image as an OCI layout. */
  readonly layout: string;
  push(registry: GantryRegistry, name: string, more?: readonly string[]): Promise<unknown>;
}

/** Busybox as an OCI layout, there from the first test of the file to its last. */
export function useImageLayout(): PushedImage {
  let directory = "";
  const layout = (): string => join(directory, "layout");
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "gantry-test-layout-"));
    await writeLayout(layout(), await readFile(await busyboxTar(directory)));
  });
  after(() => rm(directory, { recursive: true, force: true }));
  return {
    get directory() {
      return directory;
    },
    get layout() {
      return layout();
    },
    push: (registry, name, more = []) =>
      skopeo([
        "copy",
        "--dest-tls-verify=false",
        ...more,
        `oci:${layout()}:latest`,
        `docker://${registry.address}/${name}`,
      ]),
  };
}
