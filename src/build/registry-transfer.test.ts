import assert from "node:assert/strict";
import { test } from "node:test";
import { hasRegistry, startRegistry } from "../../test/helpers/registry.ts";
import type { ImageIndex } from "../oci/image-spec.ts";
import { testBuilder } from "./builder.fixture.ts";

const skip = (await hasRegistry()) ? false : "docker-registry is not installed";

test("cache goes through a registry to another machine", { skip }, async () => {
  await using registry = await startRegistry();
  const ref = `${registry.address}/cache/test:1`;
  const files = {
    Dockerfile: "FROM scratch AS a\nCOPY f /a\nFROM scratch\nCOPY --from=a /a /b\nWORKDIR /w\n",
    f: "1",
  };
  await using first = await testBuilder();
  const built = await first.build(files, {
    cacheTo: [{ type: "registry", attributes: { ref, mode: "max" } }],
  });
  await using second = await testBuilder();
  const taken = await second.build(files, { cacheFrom: [{ type: "registry", attributes: { ref } }] });
  assert.equal(taken.imageId, built.imageId);
  const steps = taken.events.flatMap((event) =>
    event.kind === "vertex" && event.completedNs !== undefined && /\d\/\d\]/.test(event.name)
      ? [event.cached]
      : [],
  );
  assert.deepEqual(new Set(steps), new Set([true]));
});

test("images of several platforms are pushed as an index", { skip }, async () => {
  await using registry = await startRegistry();
  const name = `${registry.address}/team/app:2`;
  await using it = await testBuilder();
  const result = await it.build(
    { Dockerfile: "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n", amd64: "A", arm64: "B" },
    {
      platforms: [
        { os: "linux", architecture: "amd64" },
        { os: "linux", architecture: "arm64" },
      ],
      exports: [{ type: "image", names: [name], push: true }],
    },
  );
  const answer = await fetch(`http://${registry.address}/v2/team/app/manifests/2`, {
    headers: { Accept: "application/vnd.oci.image.index.v1+json" },
  });
  assert.equal(answer.headers.get("docker-content-digest"), result.descriptor?.digest);
  const { manifests } = (await answer.json()) as ImageIndex;
  assert.deepEqual(
    manifests.map(({ platform }) => platform?.architecture),
    ["amd64", "arm64"],
  );
});

test(
  "a registry without TLS is pushed to when the output says so, also what is not stored",
  { skip },
  async () => {
    await using registry = await startRegistry();
    await using it = await testBuilder();
    // The kernel takes this address for the loopback's; nobody trusts it by itself.
    const name = `0.0.0.0:${registry.port}/team/app:3`;
    const push = (attributes: Readonly<Record<string, string>>) =>
      it.build(
        { Dockerfile: "FROM scratch\nCOPY a /a\n", a: "" },
        {
          exports: [
            { type: "image", names: [name], push: true, attributes: { store: "false", ...attributes } },
          ],
        },
      );
    await assert.rejects(push({}), { kind: "unavailable" });
    const { descriptor } = await push({ "registry.insecure": "true", "oci-mediatypes": "false" });
    const answer = await fetch(`http://${registry.address}/v2/team/app/manifests/3`, {
      headers: { Accept: "application/vnd.docker.distribution.manifest.v2+json" },
    });
    assert.equal(answer.headers.get("docker-content-digest"), descriptor?.digest);
    assert.equal(answer.headers.get("content-type"), "application/vnd.docker.distribution.manifest.v2+json");
    assert.deepEqual(it.host.images.list(), []);
    // The word holds for that push alone.
    await assert.rejects(push({}), { kind: "unavailable" });
  },
);
