import assert from "node:assert/strict";
import { test } from "node:test";
import { definition } from "./common.ts";
import { graphSource, sourceGraph } from "./graph.ts";

test("a graph of one source says the same after a client has handed it back", () => {
  const bytes = definition.encode(sourceGraph("gantry-built://0123"));
  const graph = definition.decode(bytes);
  assert.equal(graph.def.length, 2);
  // Clients want metadata of each operation, by its digest.
  assert.equal(graph.metadata.size, 2);
  assert.deepEqual(graphSource(graph), {
    identifier: "gantry-built://0123",
    attributes: new Map(),
    isUnpacked: false,
  });
});

test("what buildx sends for a Dockerfile at an address is its source", () => {
  // SourceOp { identifier: "https://h/f", attrs: { "http.filename": "Dockerfile" } } in field 3, then the end.
  const attribute = Buffer.from("\n\rhttp.filename\x12\nDockerfile", "latin1");
  const source = Buffer.concat([
    Buffer.from("\n\x0bhttps://h/f", "latin1"),
    Buffer.from([0x12, attribute.length]),
    attribute,
  ]);
  const def = [Buffer.concat([Buffer.from([0x1a, source.length]), source]), Buffer.from([0x0a, 0x00])];
  assert.deepEqual(graphSource({ def, metadata: new Map() }), {
    identifier: "https://h/f",
    attributes: new Map([["http.filename", "Dockerfile"]]),
    isUnpacked: false,
  });
});

test("a graph that does more is none", () => {
  const exec = Buffer.from([0x12, 0x02, 0x0a, 0x00]);
  const { def = [] } = sourceGraph("docker-image://docker.io/library/x:latest");
  assert.equal(graphSource({ def: [...def, exec], metadata: new Map() }), undefined);
  assert.equal(graphSource({ def: [], metadata: new Map() }), undefined);
});
