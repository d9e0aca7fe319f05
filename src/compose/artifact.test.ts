import { deepEqual, equal, throws } from "node:assert/strict";
import { describe, it } from "node:test";
import { artifactInIndex, artifactManifest, artifactParts, artifactTypes } from "./artifact.ts";

const files = [
  { name: "compose.yaml", digest: "sha256:aa", sizeBytes: 3 },
  { name: "over.yaml", digest: "sha256:bb", sizeBytes: 4 },
];
const made = (version: "1.0" | "1.1"): string =>
  artifactManifest(files, "sha256:ee", {
    version,
    created: "2026-01-02T03:04:05Z",
    composeVersion: "2.26.1",
  });
const manifest = (layer: object): string =>
  JSON.stringify({ artifactType: artifactTypes.project, config: {}, layers: [layer] });

describe("an application as an artifact", () => {
  for (const version of ["1.0", "1.1"] as const) {
    it(`has its files as documents of one, in the form of OCI ${version}`, () => {
      deepEqual(artifactParts(made(version), "shop"), [
        { file: "compose.yaml", digest: "sha256:aa" },
        { file: "compose.yaml", digest: "sha256:bb" },
      ]);
    });
  }

  it("says what it is by its type, or by that of its configuration", () => {
    const [old, now] = [JSON.parse(made("1.0")), JSON.parse(made("1.1"))];
    deepEqual([old.artifactType, old.config.mediaType], [undefined, artifactTypes.config]);
    deepEqual([now.artifactType, now.config.mediaType], [artifactTypes.project, artifactTypes.empty]);
    equal(Buffer.from(now.config.data, "base64").toString(), "{}");
    throws(
      () => artifactParts(`{"config":{"mediaType":"x/y"}}`, "shop"),
      /shop is not a compose project .* x\/y/,
    );
    throws(() => artifactParts("{}", "shop"), /but an image/);
  });

  it("takes the files beside the main one, and none of another directory", () => {
    const extended = (file: string): string =>
      manifest({
        mediaType: artifactTypes.file,
        digest: "sha256:aa",
        annotations: { "com.docker.compose.extends": "true", "com.docker.compose.file": file },
      });
    const variables = (file: string): string =>
      manifest({
        mediaType: artifactTypes.envFile,
        digest: "sha256:aa",
        annotations: { "com.docker.compose.envfile": file },
      });
    for (const one of [extended, variables]) {
      deepEqual(artifactParts(one("base"), "shop"), [{ file: "base", digest: "sha256:aa" }]);
      for (const outside of ["../x", "/etc/passwd", "a/b", "..", ".", "", "a\\b"])
        throws(() => artifactParts(one(outside), "shop"), /outside of itself/, outside);
    }
    deepEqual(artifactParts(manifest({ mediaType: "x/y", digest: "sha256:aa" }), "shop"), []);
  });

  it("is found in an index", () => {
    const index = {
      manifests: [{ digest: "sha256:a" }, { digest: "sha256:b", artifactType: artifactTypes.project }],
    };
    equal(artifactInIndex(JSON.stringify(index)), "sha256:b");
    equal(artifactInIndex("{}"), undefined);
  });
});
