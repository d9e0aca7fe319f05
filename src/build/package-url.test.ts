import assert from "node:assert/strict";
import { test } from "node:test";
import { imagePurl, tryPurl } from "./package-url.ts";

const digest = `sha256:${"a".repeat(64)}`;
const platform = { os: "linux", architecture: "amd64" };
const suffix = "platform=linux%2Famd64";
const names: readonly (readonly [string, string])[] = [
  ["busybox", `pkg:docker/busybox@latest?${suffix}`],
  ["docker.io/library/alpine:3.15", `pkg:docker/alpine@3.15?${suffix}`],
  ["user/test:v2", `pkg:docker/user/test@v2?${suffix}`],
  ["127.0.0.1:5000/foo/bar", `pkg:docker/127.0.0.1:5000/foo/bar@latest?${suffix}`],
  [`alpine:3.15@${digest}`, `pkg:docker/alpine@3.15?digest=${digest}&${suffix}`],
  [`alpine@${digest}`, `pkg:docker/alpine?digest=${digest}&${suffix}`],
];
for (const [name, url] of names)
  test(`package URL of ${name}`, () => {
    assert.equal(imagePurl(name, platform), url);
  });

test("what is no image's name has no package URL", () => {
  assert.equal(tryPurl("my context", platform), undefined);
});
