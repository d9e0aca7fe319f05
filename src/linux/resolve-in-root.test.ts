import assert from "node:assert/strict";
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as fc from "fast-check";
import { isKind } from "../base/errors.ts";
import { openInRoot, resolveInRoot } from "./resolve-in-root.ts";

let root = "";
before(() => {
  root = mkdtempSync(join(tmpdir(), "gantry-resolve-"));
  mkdirSync(join(root, "etc"));
  mkdirSync(join(root, "a/b"), { recursive: true });
  writeFileSync(join(root, "etc/passwd"), "inside");
  symlinkSync("/etc", join(root, "absolute"));
  symlinkSync("../../../../etc", join(root, "a/b/relative"));
  symlinkSync("loop", join(root, "loop"));
  symlinkSync("/absolute/passwd", join(root, "chain"));
  symlinkSync("/nowhere/at/all", join(root, "dangling"));
});
after(() => rmSync(root, { recursive: true }));

test("links are followed inside the root only", () => {
  const table: [string, string][] = [
    ["/", ""],
    ["", ""],
    ["..", ""],
    ["../../../etc/passwd", "/etc/passwd"],
    ["/absolute/passwd", "/etc/passwd"],
    ["a/b/relative/passwd", "/etc/passwd"],
    ["a/b/relative/../a", "/a"],
    ["chain", "/etc/passwd"],
    ["dangling/x", "/nowhere/at/all/x"],
    ["new/file", "/new/file"],
    ["etc/passwd/below", "/etc/passwd/below"],
    ["./a//b/./", "/a/b"],
  ];
  for (const [path, expected] of table) assert.equal(resolveInRoot(root, path), root + expected, path);
  assert.equal(resolveInRoot(root, "chain", { followLast: false }), `${root}/chain`);
  assert.equal(resolveInRoot(root, "absolute/passwd", { followLast: false }), `${root}/etc/passwd`);
  assert.equal(resolveInRoot("/", "etc/../etc"), "/etc");
});

test("loops and NUL bytes are refused", () => {
  for (const path of ["loop", "loop/x", "a\0b"]) {
    assert.throws(
      () => resolveInRoot(root, path),
      (error: unknown) => isKind(error, "invalidArgument"),
    );
  }
});

test("no path leaves the root", () => {
  const part = fc.constantFrom("..", ".", "", "a", "b", "absolute", "relative", "chain", "etc", "x");
  fc.assert(
    fc.property(fc.array(part, { maxLength: 10 }), (parts) => {
      const path = resolveInRoot(root, parts.join("/"));
      assert.ok(path === root || path.startsWith(`${root}/`));
      assert.ok(!path.slice(root.length).split("/").includes(".."));
    }),
  );
});

test("the kernel opens inside the root", () => {
  for (const path of ["/absolute/passwd", "../../etc/passwd", "a/b/relative/passwd", "chain"]) {
    const fd = openInRoot(root, path, constants.O_RDONLY);
    try {
      assert.equal(readFileSync(fd, "utf8"), "inside");
    } finally {
      closeSync(fd);
    }
  }
  assert.throws(
    () => openInRoot(root, "etc/shadow", constants.O_RDONLY),
    (error: unknown) => isKind(error, "notFound"),
  );
});
