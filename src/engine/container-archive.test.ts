import assert from "node:assert/strict";
import { test } from "node:test";
import { absolutePath } from "./container-archive.ts";

test("paths begin at the root and keep the ending that asks for what a link leads to", () => {
  for (const [path, absolute] of [
    ["etc", "/etc"],
    ["/etc/", "/etc/"],
    ["/etc/.", "/etc/."],
    ["/", "/"],
    ["", "/"],
    [".", "/."],
    ["../../etc", "/etc"],
    ["/a/../../b/", "/b/"],
  ] as const)
    assert.equal(absolutePath(path), absolute, path);
});
