import assert from "node:assert/strict";
import { test } from "node:test";
import { EndpointIndex } from "./endpoint-index.ts";
import { emptyEndpoint } from "./endpoint-request.ts";
import type { Sandbox } from "./network.ts";

function sandbox(containerId: string, networks: Record<string, string[]>): Sandbox {
  return {
    containerId,
    containerName: containerId,
    path: "",
    ports: [],
    endpoints: Object.entries(networks).map(([networkId, dnsNames]) => ({
      ...emptyEndpoint({ id: networkId, name: networkId, driver: "bridge" }),
      dnsNames,
    })),
  };
}

const found = (index: EndpointIndex, network: string, name: string): string[] =>
  index
    .lookUp(network, name)
    .map(({ containerId }) => containerId)
    .sort();

test("a name leads to everybody who goes by it on that network, whatever its case", () => {
  const index = new EndpointIndex();
  index.put(undefined, sandbox("one", { front: ["one", "Web"], back: ["one"] }));
  index.put(undefined, sandbox("two", { front: ["two", "web"] }));
  assert.deepEqual(found(index, "front", "WEB"), ["one", "two"]);
  assert.deepEqual(found(index, "back", "web"), []);
  assert.deepEqual(found(index, "nowhere", "web"), []);
  assert.deepEqual(index.members("front").length, 2);
});

test("what a sandbox had before is forgotten", () => {
  const index = new EndpointIndex();
  const before = sandbox("one", { front: ["one", "web"], back: ["one"] });
  const after = sandbox("one", { front: ["uno"] });
  index.put(undefined, before);
  index.put(before, after);
  assert.deepEqual(found(index, "front", "one"), []);
  assert.deepEqual(found(index, "front", "uno"), ["one"]);
  assert.deepEqual(index.members("back"), []);
  index.put(after, undefined);
  assert.deepEqual(index.members("front"), []);
});
