import assert from "node:assert/strict";
import { test } from "node:test";
import { type CopyEnd, followed, keepEnding, planCopy, rebased, splitArgument, splitPath } from "./paths.ts";

test("CONTAINER:PATH and paths of this machine", () => {
  for (const [text, container, path] of [
    ["box:/etc", "box", "/etc"],
    ["box:etc/x:y", "box", "etc/x:y"],
    ["/a:b", undefined, "/a:b"],
    ["./a:b", undefined, "./a:b"],
    ["../a:b", undefined, "../a:b"],
    ["file", undefined, "file"],
    ["-", undefined, "-"],
  ] as const)
    assert.deepEqual(splitArgument(text), { container, path });
});

test("directory and last part of a path", () => {
  for (const [path, directory, base] of [
    ["/a/b", "/a", "b"],
    ["/a/b/", "/a", "b"],
    ["/a/b/.", "/a/b", "."],
    ["/", "/", "/"],
    ["/.", "/", "."],
    ["/a", "/", "a"],
    ["a", ".", "a"],
  ] as const)
    assert.deepEqual(splitPath(path), { directory, base }, path);
});

test("the ending of a path is kept", () => {
  assert.equal(keepEnding("/a", "x/."), "/a/.");
  assert.equal(keepEnding("/", "/."), "/.");
  assert.equal(keepEnding("/a", "x/"), "/a/");
  assert.equal(keepEnding("/a", "x"), "/a");
  assert.deepEqual(followed("/a/link", "/b/real"), { path: "/b/real", rebaseName: "link" });
  assert.deepEqual(followed("/a/same", "/b/same"), { path: "/b/same" });
});

test("where a copy goes, by what is at both ends", () => {
  const end = (path: string, kind: "file" | "directory" | "none"): CopyEnd => ({
    path,
    exists: kind !== "none",
    isDirectory: kind === "directory",
  });
  for (const [source, target, directory, rebase] of [
    [end("/s/f", "file"), end("/t", "directory"), "/t", undefined],
    [end("/s/f", "file"), end("/t/g", "file"), "/t", { from: "f", to: "g" }],
    [end("/s/f", "file"), end("/t/g", "none"), "/t", { from: "f", to: "g" }],
    [end("/s/d", "directory"), end("/t/e", "none"), "/t", { from: "d", to: "e" }],
    [end("/s/d/.", "directory"), end("/t/e", "none"), "/t", { from: ".", to: "e" }],
    [end("/s/d/.", "directory"), end("/t", "directory"), "/t", undefined],
  ] as const)
    assert.deepEqual(planCopy(source, target), { directory, rebase });
  assert.throws(() => planCopy(end("/s", "directory"), end("/t", "file")), /cannot copy directory/);
  assert.throws(() => planCopy(end("/s", "file"), end("/t/", "none")), /no such directory/);
});

test("names under a new start", () => {
  assert.equal(rebased("d/x", { from: "d", to: "e" }), "e/x");
  assert.equal(rebased("d", { from: "d", to: "e" }), "e");
  assert.equal(rebased("dd/x", { from: "d", to: "e" }), "dd/x");
  assert.equal(rebased("./x", { from: ".", to: "e" }), "e/x");
  assert.equal(rebased("/etc/x", { from: "/", to: "e" }), "e/etc/x");
  assert.equal(rebased("x", undefined), "x");
});
