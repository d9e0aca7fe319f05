/** The tests that docs/security.md names are there, under these names. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "../..");

test("each fault in docs/security.md has its test", () => {
  const rows = readFileSync(join(root, "docs/security.md"), "utf8")
    .split("\n")
    .filter((line) => /\| `(test|src)\/[^`]+`: "/.test(line));
  assert.ok(rows.length >= 15, `${rows.length} rows`);
  for (const row of rows) {
    const [, file = "", names = ""] = /`((?:test|src)\/[^`]+)`: (.*) \|$/.exec(row) ?? [];
    const text = readFileSync(join(root, file), "utf8");
    for (const [, name = ""] of names.matchAll(/"([^"]+)"/g))
      assert.match(
        text,
        new RegExp(`(test|scene)\\(\\s*"${RegExp.escape(name)}"`),
        `${file} has no test "${name}"`,
      );
  }
});
