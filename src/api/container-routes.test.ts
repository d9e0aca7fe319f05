/** Routes of containers: what they hand to the engine, what they refuse, and answers that take their time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { notFound } from "../base/errors.ts";
import type { Engine } from "../engine/engine.ts";
import { readUntil, recorder, startApi } from "./test-support.ts";

test("create passes name, platform and request, and answers 201", async () => {
  const { calls, method } = recorder({ Id: "abc", Warnings: [] });
  await using t = await startApi({ containerCreate: method });
  const answer = await t.call("POST", "/v1.50/containers/create?name=n&platform=linux%2Famd64", {
    body: '{"Image":"i"}',
    headers: { "content-type": "application/json; charset=utf-8" },
  });
  assert.deepEqual([answer.status, answer.json()], [201, { Id: "abc", Warnings: [] }]);
  assert.deepEqual(calls, [
    [{ name: "n", platform: "linux/amd64", request: { Image: "i", HostConfig: {} } }],
  ]);
});

const actions: readonly {
  path: string;
  method: keyof Engine;
  args: unknown[];
  status?: number;
  verb?: string;
}[] = [
  { path: "/containers/c/start?detachKeys=x", method: "containerStart", args: ["c"] },
  { path: "/containers/c/stop", method: "containerStop", args: ["c", {}] },
  {
    path: "/containers/c/stop?t=-1&signal=INT",
    method: "containerStop",
    args: ["c", { timeoutSeconds: -1, signal: "INT" }],
  },
  { path: "/v1.41/containers/c/stop?signal=INT", method: "containerStop", args: ["c", {}] },
  { path: "/containers/c/restart?t=5", method: "containerRestart", args: ["c", { timeoutSeconds: 5 }] },
  { path: "/containers/c/kill", method: "containerKill", args: ["c", "KILL"] },
  { path: "/containers/c/kill?signal=15", method: "containerKill", args: ["c", "15"] },
  { path: "/containers/c/pause", method: "containerPause", args: ["c"] },
  { path: "/containers/c/unpause", method: "containerUnpause", args: ["c"] },
  { path: "/containers/c/rename?name=d", method: "containerRename", args: ["c", "d"] },
  { path: "/containers/c/resize?h=24&w=80", method: "containerResize", args: ["c", 24, 80], status: 200 },
  { path: "/exec/e/resize?h=24&w=80", method: "execResize", args: ["e", 24, 80], status: 200 },
  {
    path: "/containers/c?v=1&force=true",
    method: "containerRemove",
    args: ["c", { force: true, volumes: true, link: false }],
    verb: "DELETE",
  },
  {
    path: "/images/h:5/a/b:1/tag?repo=r&tag=t",
    method: "imageTag",
    args: ["h:5/a/b:1", "r", "t"],
    status: 201,
  },
];

for (const { path, method, args, status = 204, verb = "POST" } of actions) {
  test(`${verb} ${path}`, async () => {
    const { calls, method: call } = recorder(undefined);
    await using t = await startApi({ [method]: call });
    const answer = await t.call(verb, path);
    assert.deepEqual([answer.status, answer.text, calls], [status, "", [args]]);
  });
}

const refusedParameters: readonly [verb: string, path: string][] = [
  ["GET", "/containers/json?limit=x"],
  ["GET", "/containers/json?filters=x"],
  ["POST", "/containers/c/stop?t=soon"],
  ["POST", "/containers/c/resize?h=1"],
  ["POST", "/containers/c/resize?h=x&w=1"],
  ["POST", "/containers/c/resize?h=-1&w=1"],
  ["POST", "/exec/e/resize?h=65536&w=1"],
  ["POST", "/containers/c/wait?condition=later"],
  ["POST", "/containers/c/wait?condition=constructor"],
  ["GET", "/containers/c/logs"],
  ["GET", "/containers/c/logs?stdout=0&stderr=no"],
  ["GET", "/containers/c/logs?stdout=1&since=yesterday"],
  ["GET", "/events?until=x"],
  ["GET", "/containers/c/attach/ws"],
  ["POST", "/images/create"],
  ["POST", "/images/i/tag"],
];

for (const [verb, path] of refusedParameters) {
  test(`${verb} ${path} is 400`, async () => {
    await using t = await startApi({});
    assert.equal((await t.call(verb, path)).status, 400);
  });
}

test("start refuses settings in its body", async () => {
  await using t = await startApi({ containerStart: async () => {} });
  assert.equal((await t.call("POST", "/containers/c/start", { body: "{}" })).status, 204);
  assert.equal((await t.call("POST", "/containers/c/start", { body: '{"Binds":null}' })).status, 400);
});

test("wait: headers at once, the body at the exit", async () => {
  const exit = Promise.withResolvers<{ StatusCode: number }>();
  await using t = await startApi({ containerWait: () => ({ result: exit.promise }) });
  const socket = t.connect();
  socket.write("POST /v1.50/containers/c/wait?condition=removed HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
  const head = await readUntil(socket, "\r\n\r\n");
  assert.match(head, /^HTTP\/1.1 200 OK\r\n/);
  assert.match(head, /\r\nTransfer-Encoding: chunked\r\n/);
  assert.match(head, /\r\nContent-Type: application\/json\r\n/);
  exit.resolve({ StatusCode: 7 });
  assert.match(await readUntil(socket, "\r\n0\r\n\r\n"), /{"StatusCode":7}\n/);
  socket.destroy();
});

test("wait: an unknown container is 404, a failure after the headers is in the body", async () => {
  await using t = await startApi({
    containerWait: (id) => {
      if (id === "none") throw notFound("No such container: none");
      return { result: Promise.reject(new Error("removal failed")) };
    },
  });
  assert.equal((await t.call("POST", "/containers/none/wait")).status, 404);
  assert.deepEqual((await t.call("POST", "/containers/c/wait")).json(), {
    StatusCode: -1,
    Error: { Message: "removal failed" },
  });
});

test("wait: a client that goes away aborts it", async () => {
  const gone = Promise.withResolvers<void>();
  await using t = await startApi({
    containerWait: (_id, _condition, signal) => {
      signal.addEventListener("abort", () => gone.resolve());
      return { result: new Promise(() => {}) };
    },
  });
  const socket = t.connect();
  socket.write("POST /containers/c/wait HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
  await readUntil(socket, "\r\n\r\n");
  socket.destroy();
  await gone.promise;
});
