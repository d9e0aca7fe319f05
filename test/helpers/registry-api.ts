/** The OCI distribution specification's API, asked by hand. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { digestOf } from "../../src/oci/digest.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  json(): Record<string, unknown>;
}

export interface ImageParts {
  readonly subject?: { mediaType: string; digest: string; size: number };
  readonly artifactType?: string;
  readonly annotations?: Record<string, string>;
  readonly layer?: Buffer;
}

export const octets = { "Content-Type": "application/octet-stream" };
export const types = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
};

/** The code in the body of a refusal. */
export function codeOf(answer: Answer): string {
  const { errors } = answer.json() as { errors: { code: string; message: string }[] };
  assert.equal(answer.headers.get("content-type"), "application/json");
  assert.ok(errors[0]?.message);
  return errors[0].code;
}

export class RegistryApi {
  readonly #origin: () => string;

  constructor(origin: () => string) {
    this.#origin = origin;
  }

  async ask(
    method: string,
    path: string,
    options: { readonly headers?: Record<string, string>; readonly body?: Buffer | string } = {},
  ): Promise<Answer> {
    const url = new URL(path, this.#origin());
    const { headers = {}, body } = options;
    const answer = await fetch(url, {
      method,
      headers,
      redirect: "manual",
      ...(body === undefined ? {} : { body }),
    });
    const bytes = Buffer.from(await answer.arrayBuffer());
    return {
      status: answer.status,
      headers: answer.headers,
      bytes,
      json: () => JSON.parse(bytes.toString()) as Record<string, unknown>,
    };
  }

  /** Returns where the bytes go. */
  async startUpload(repository: string): Promise<string> {
    const answer = await this.ask("POST", `/v2/${repository}/blobs/uploads/`);
    assert.equal(answer.status, 202);
    return answer.headers.get("location")!;
  }

  async pushBlob(repository: string, bytes: Buffer): Promise<string> {
    const digest = digestOf(bytes);
    const answer = await this.ask("PUT", `${await this.startUpload(repository)}?digest=${digest}`, {
      headers: octets,
      body: bytes,
    });
    assert.equal(answer.status, 201);
    return digest;
  }

  async makeManifest(repository: string, parts: ImageParts = {}): Promise<Buffer> {
    const config = Buffer.from(
      JSON.stringify({ architecture: "amd64", os: "linux", salt: randomBytes(8).toString("hex") }),
    );
    const layer = parts.layer ?? randomBytes(1000);
    const { subject, artifactType, annotations } = parts;
    const describe = (mediaType: string, bytes: Buffer): object => ({
      mediaType,
      digest: digestOf(bytes),
      size: bytes.length,
    });
    await this.pushBlob(repository, config);
    await this.pushBlob(repository, layer);
    return Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: types.manifest,
        ...(artifactType === undefined ? {} : { artifactType }),
        config: describe(types.config, config),
        layers: [describe(types.layer, layer)],
        ...(subject === undefined ? {} : { subject }),
        ...(annotations === undefined ? {} : { annotations }),
      }),
    );
  }

  async putManifest(
    repository: string,
    reference: string,
    bytes: Buffer,
    type = types.manifest,
  ): Promise<Answer> {
    return await this.ask("PUT", `/v2/${repository}/manifests/${reference}`, {
      headers: { "Content-Type": type },
      body: bytes,
    });
  }

  async pushImage(
    repository: string,
    tag: string,
    parts: ImageParts = {},
  ): Promise<{ bytes: Buffer; digest: string }> {
    const bytes = await this.makeManifest(repository, parts);
    const answer = await this.putManifest(repository, tag, bytes);
    assert.equal(answer.status, 201, answer.bytes.toString());
    return { bytes, digest: digestOf(bytes) };
  }
}
