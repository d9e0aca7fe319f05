import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { routeSupport } from "./routes.ts";
import { startApi } from "./test-support.ts";

/** Method and path of every operation of Docker's Engine API 1.55. */
const known = JSON.parse(
  readFileSync(new URL("../../test/fixtures/engine-api-routes.json", import.meta.url), "utf8"),
) as { routes: [method: string, path: string][] };

const key = (method: string, path: string): string => `${method} ${path}`;

test("every operation of the Engine API is served or refused by name", () => {
  const ours = new Set(routeSupport().map(({ method, path }) => key(method, path)));
  assert.deepEqual(
    known.routes.filter(([method, path]) => !ours.has(key(method, path))),
    [],
  );
});

test("nothing is there beyond the Engine API's description but what moby serves too, and gantry's own", () => {
  const theirs = new Set(known.routes.map(([method, path]) => key(method, path)));
  const extra = routeSupport().filter(({ method, path }) => !theirs.has(key(method, path)));
  assert.deepEqual(
    extra.map(({ method, path }) => key(method, path)),
    [
      "POST /build/cancel",
      "POST /grpc",
      "GET /networks/",
      "GET /gantry/check",
      "POST /gantry/check",
      "GET /containers/{id}/checkpoints",
      "POST /containers/{id}/checkpoints",
      "DELETE /containers/{id}/checkpoints/{checkpoint}",
    ],
  );
});

test("refused operations answer with a status and a sentence", async () => {
  await using t = await startApi({});
  for (const { method, path, support } of routeSupport()) {
    if (support === "served") continue;
    const { status, headers, text } = await t.call(method, `/v1.50${path.replace(/\{\w+\}/, "a")}`);
    assert.ok([404, 501, 503].includes(status), `${method} ${path}: ${status}`);
    if (method === "HEAD") continue;
    assert.equal(headers["content-type"], "application/json");
    assert.match(text, /^\{"message":"[^"]*(\\"[^"]*)*(served by|swarm|not found)/, `${method} ${path}`);
  }
});

const answers: readonly { method: string; path: string; status: number; message: string }[] = [
  { method: "GET", path: "/v1.50/nothing", status: 404, message: "page not found" },
  { method: "PATCH", path: "/v1.50/info", status: 404, message: "page not found" },
  { method: "GET", path: "/vnext/info", status: 404, message: "page not found" },
  { method: "GET", path: "/v1.50/containers//json", status: 404, message: "page not found" },
  { method: "GET", path: "/v1.50/containers/json/", status: 404, message: "page not found" },
  {
    method: "POST",
    path: "/plugins/pull",
    status: 501,
    message: "installing a plugin (docker plugin install) is not served by this version of gantry",
  },
  {
    method: "POST",
    path: "/v1.45/containers/x/checkpoints",
    status: 501,
    message: "keeping checkpoints of containers (docker checkpoint) is not served by this version of gantry",
  },
  {
    method: "POST",
    path: "/v1.45/containers/x/start?checkpoint=c",
    status: 400,
    message: "checkpoint is only supported in experimental mode",
  },
  {
    method: "GET",
    path: "/v1.41/nodes",
    status: 503,
    message:
      'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
  },
  { method: "GET", path: "/plugins/x/json", status: 404, message: 'plugin "x" not found' },
  {
    method: "GET",
    path: "/v1.99/info",
    status: 400,
    message: "client version 1.99 is too new. Maximum supported API version is 1.55",
  },
  {
    method: "GET",
    path: "/v2.0/info",
    status: 400,
    message: "client version 2.0 is too new. Maximum supported API version is 1.55",
  },
];

for (const { method, path, status, message } of answers) {
  test(`${method} ${path}: ${status}`, async () => {
    await using t = await startApi({});
    const answer = await t.call(method, path);
    assert.deepEqual([answer.status, answer.json()], [status, { message }]);
    assert.equal(answer.headers["content-type"], "application/json");
  });
}

test("a version below 1.24 is refused", async () => {
  await using t = await startApi({});
  const answer = await t.call("GET", "/v1.11/info");
  assert.equal(answer.status, 400);
  assert.equal(answer.headers["content-type"], "application/json");
  assert.deepEqual(answer.json(), {
    message:
      "client version 1.11 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
  });
});
