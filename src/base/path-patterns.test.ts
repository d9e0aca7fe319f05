import assert from "node:assert/strict";
import { test } from "node:test";
import { PathPatterns, cleanPath, parseIgnoreFile } from "./path-patterns.ts";

test("a pattern fits a path as Go's rules say", () => {
  const table: [string[], string, boolean][] = [
    [["a"], "a", true],
    [["a"], "a/b", true],
    [["a"], "b/a", false],
    [["*"], "a", true],
    [["*"], "a/b", true],
    [["*.go"], "main.go", true],
    [["*.go"], "cmd/main.go", false],
    [["*/*.go"], "cmd/main.go", true],
    [["**/*.go"], "main.go", true],
    [["**/*.go"], "a/b/main.go", true],
    [["**"], "a/b", true],
    [["a/**"], "a/b/c", true],
    [["a/**"], "a", false],
    [["a/**/z"], "a/z", true],
    [["a/**/z"], "a/b/c/z", true],
    [["a**b"], "aXXb", false],
    [["a**b"], "ax/yb", false],
    [["a**b"], "ax/b", true],
    [["a?c"], "abc", true],
    [["a?c"], "a/c", false],
    [["[a-c]x"], "bx", true],
    [["[^a-c]x"], "bx", false],
    [["[^a-c]x"], "dx", true],
    [["[!]"], "!", true],
    [["a[b"], "a", false],
    [["\\*"], "*", true],
    [["\\*"], "a", false],
    [["a.b"], "axb", false],
    [["$x"], "$x", true],
    [["/a/b/"], "a/b", true],
    [["./a/../b"], "b", true],
    [["*", "!keep"], "keep", false],
    [["*", "!keep"], "keep/inner", false],
    [["*", "!keep", "keep/inner"], "keep/inner", true],
    [["*", "!keep", "keep/inner"], "keep/other", false],
    [["!a"], "a", false],
    [["docs", "!docs/README.md"], "docs/README.md", false],
    [["docs", "!docs/README.md"], "docs/other", true],
    [["ümlaut?"], "ümlaut😀", true],
  ];
  for (const [patterns, path, expected] of table) {
    if (patterns[0] === "a[b") {
      assert.throws(() => new PathPatterns(patterns), { kind: "invalidArgument" });
      continue;
    }
    assert.equal(new PathPatterns(patterns).matches(path), expected, `${patterns.join(" ")} on ${path}`);
  }
});

test("a lone exclamation mark and open brackets are refused", () => {
  assert.throws(() => new PathPatterns(["!"]), /illegal exclusion pattern: "!"/);
  assert.throws(() => new PathPatterns(["[]a"]), /syntax error in pattern/);
  assert.throws(() => new PathPatterns(["a\\"]), /syntax error in pattern/);
});

test("a directory tells whether anything below may still be of interest", () => {
  const excepted = new PathPatterns(["*", "!src/*.ts", "!docs/a/b"]);
  assert.equal(excepted.mayExceptBelow("src"), true);
  assert.equal(excepted.mayExceptBelow("docs"), true);
  assert.equal(excepted.mayExceptBelow("docs/a"), true);
  assert.equal(excepted.mayExceptBelow("other"), false);
  assert.equal(new PathPatterns(["**/x"]).mayMatchBelow("deep/er"), true);
  assert.equal(new PathPatterns(["a/b"]).mayMatchBelow("a"), true);
  assert.equal(new PathPatterns(["a/b"]).mayMatchBelow("c"), false);
});

test("an ignore file's lines become clean patterns", () => {
  const text = "\uFEFF# comment\n\n /a/b/ \r\n!  /c\n #kept\n./d/../e\n/\n!\n";
  assert.deepEqual(parseIgnoreFile(text), ["a/b", "!c", "#kept", "e", "/", "!"]);
});

test("a path is cleaned as Go cleans it", () => {
  const table: [string, string][] = [
    ["", "."],
    ["/", "/"],
    ["a//b/./c/..", "a/b"],
    ["../a", "../a"],
    ["../../a", "../../a"],
    ["/../a", "/a"],
    ["a/..", "."],
  ];
  for (const [path, expected] of table) assert.equal(cleanPath(path), expected, path);
});
