import assert from "node:assert/strict";
import { test } from "node:test";
import { Router } from "./router.ts";

const paths = [
  "GET /images/json",
  "GET /images/get",
  "GET /images/{name...}/json",
  "GET /images/{name...}/get",
  "POST /images/{name...}/tag",
  "DELETE /images/{name...}",
  "GET /containers/json",
  "GET /containers/{id}/json",
  "GET /containers/{id}/attach/ws",
  "DELETE /containers/{id}",
];
const router = new Router(
  paths.map((text) => {
    const [method = "", path = ""] = text.split(" ");
    return { method, path };
  }),
);

const cases: readonly [method: string, path: string, route: string | undefined, param?: string][] = [
  ["GET", "/images/json", "/images/json"],
  ["GET", "/images/busybox/json", "/images/{name...}/json", "busybox"],
  ["GET", "/images/reg.io:5000/team/app:1/json", "/images/{name...}/json", "reg.io:5000/team/app:1"],
  ["GET", "/images/json/json", "/images/{name...}/json", "json"],
  ["GET", "/images/get/get", "/images/{name...}/get", "get"],
  ["GET", "/images/a/json/get", "/images/{name...}/get", "a/json"],
  ["POST", "/images/a@sha256:00/tag", "/images/{name...}/tag", "a@sha256:00"],
  ["DELETE", "/images/a/b", "/images/{name...}", "a/b"],
  ["DELETE", "/images/json", "/images/{name...}", "json"],
  ["DELETE", "/images/", undefined],
  ["DELETE", "/images", undefined],
  ["GET", "/images//json", undefined],
  ["GET", "/containers/json", "/containers/json"],
  ["GET", "/containers/json/json", "/containers/{id}/json", "json"],
  ["GET", "/containers/c/attach/ws", "/containers/{id}/attach/ws", "c"],
  ["GET", "/containers/c/attach", undefined],
  ["POST", "/containers/json", undefined],
  ["DELETE", "/containers/json", "/containers/{id}", "json"],
  ["GET", "/", undefined],
  ["GET", "", undefined],
  ["GET", "/__proto__/json", undefined],
];

for (const [method, path, route, param] of cases) {
  test(`${method} ${path} -> ${route ?? "none"}`, () => {
    const match = router.find(method, path);
    assert.equal(match?.route.path, route);
    assert.deepEqual(
      match === undefined ? [] : [...match.params.values()],
      param === undefined ? [] : [param],
    );
  });
}

test("a table with two routes for one request is a bug", () => {
  const route = { method: "GET", path: "/a/{id}" };
  assert.throws(() => new Router([route, route]), /two routes/);
  assert.throws(() => new Router([route, { method: "POST", path: "/a/{name}" }]), /called/);
  assert.throws(() => new Router([{ method: "GET", path: "/a/{id...}/b/c" }]), /one literal/);
});
