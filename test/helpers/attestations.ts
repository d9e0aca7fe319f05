/** Reads what is attested of an image: in an archive, or wherever its blobs are. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { mustRun } from "./process.ts";

export interface Manifest {
  readonly manifests: readonly {
    readonly digest: string;
    readonly platform: { readonly architecture: string };
    readonly annotations?: Record<string, string>;
  }[];
  readonly layers: readonly { readonly digest: string; readonly annotations: Record<string, string> }[];
}

export interface Statement {
  readonly predicateType: string;
  readonly subject: readonly { readonly digest: { readonly sha256: string } }[];
  readonly predicate: { readonly name: string; readonly comment: string; readonly files: readonly string[] };
}

/** Statements about the one image of an OCI archive, and the image's digest. */
export async function readArchive(path: string): Promise<{ subject: string; statements: Statement[] }> {
  const directory = `${path}.d`;
  await mkdir(directory);
  await mustRun(["tar", "-C", directory, "-xf", path]);
  const read = async (name: string): Promise<string> =>
    (await mustRun(["cat", join(directory, name)])).stdout;
  const blob = async (digest: string): Promise<string> => read(`blobs/sha256/${digest.split(":")[1]}`);
  const top = JSON.parse(await read("index.json")) as Manifest;
  return readIndex(JSON.parse(await blob(top.manifests[0]!.digest)) as Manifest, blob);
}

/** Statements about the first image of an index, each of which has to be about it, and that image's digest. */
export async function readIndex(
  index: Manifest,
  blob: (digest: string) => Promise<string>,
): Promise<{ subject: string; statements: Statement[] }> {
  const [own, attestation] = index.manifests;
  assert.equal(attestation?.platform.architecture, "unknown");
  assert.equal(attestation?.annotations?.["vnd.docker.reference.digest"], own!.digest);
  const { layers } = JSON.parse(await blob(attestation.digest)) as Manifest;
  const statements: Statement[] = [];
  for (const { digest, annotations } of layers) {
    const statement = JSON.parse(await blob(digest)) as Statement;
    assert.equal(annotations["in-toto.io/predicate-type"], statement.predicateType);
    assert.equal(`sha256:${statement.subject[0]?.digest.sha256}`, own!.digest);
    statements.push(statement);
  }
  return { subject: own!.digest, statements };
}
