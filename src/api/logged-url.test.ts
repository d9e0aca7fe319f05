import assert from "node:assert/strict";
import { test } from "node:test";
import { loggedUrl } from "./logged-url.ts";

test("what may be a secret in an address is not logged", () => {
  const table: readonly [string | undefined, string][] = [
    [undefined, ""],
    ["/v1.50/info", "/v1.50/info"],
    [
      "/v1.50/images/create?fromSrc=http%3A%2F%2Fu%3Apw%40h%2Fx%3Ft%3D1&repo=a",
      "/v1.50/images/create?fromSrc=***&repo=a",
    ],
    [
      "/build?buildargs=%7B%22TOKEN%22%3A%22s%22%7D&t=x&remote=https://u:p@h/r.git",
      "/build?buildargs=***&t=x&remote=***",
    ],
    ["/images/json?filters=x", "/images/json?filters=x"],
    [`/${"a".repeat(70_000)}`, `/${"a".repeat(1_999)}… (68001 more)`],
  ];
  for (const [url, wanted] of table) assert.equal(loggedUrl(url), wanted);
});
