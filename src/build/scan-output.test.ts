import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { MemoryBudget } from "../base/memory-budget.ts";
import { readStatements, spdxPredicate } from "./scan-output.ts";

const mebibyte = 1024 * 1024;
let work: string;
let count = 0;
before(() => {
  work = mkdtempSync(join(tmpdir(), "gantry-scan-output-"));
});
after(() => rmSync(work, { recursive: true, force: true }));

function written(files: Readonly<Record<string, string>>): string {
  const directory = join(work, String((count += 1)));
  mkdirSync(directory);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return directory;
}

const statement = (predicate: unknown): string => JSON.stringify({ predicateType: spdxPredicate, predicate });

test("statements come in the order of their names, that about the result first", () => {
  const directory = written({
    "sbom.spdx.json": statement({ of: "it" }),
    "sbom-a.spdx.json": statement("a"),
  });
  assert.deepEqual(readStatements(directory, "it"), [
    { name: "sbom.spdx.json", predicate: { of: "it" } },
    { name: "sbom-a.spdx.json", predicate: "a" },
  ]);
});

const refusals: readonly (readonly [string, () => string, RegExp, string])[] = [
  ["nothing", () => written({}), /has written nothing/, "invalidArgument"],
  ["no JSON", () => written({ a: "{" }), /cannot decode in-toto statement a of/, "invalidArgument"],
  [
    "another kind",
    () => written({ a: '{"predicateType":"b"}' }),
    /wrote a, which is "b" and not/,
    "invalidArgument",
  ],
  [
    "a link",
    () => {
      const directory = written({});
      symlinkSync("/etc/hostname", join(directory, "a"));
      return directory;
    },
    /a is no file that can be read/,
    "invalidArgument",
  ],
  [
    "too many files",
    () => written(Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`f${index}`, statement("")]))),
    /more than 64 files/,
    "resourceExhausted",
  ],
];
for (const [what, make, message, kind] of refusals)
  test(`refused: ${what}`, () => {
    assert.throws(() => readStatements(make(), "it"), { message, kind });
  });

test("refused unread: files that are too large together", () => {
  const limits = { files: 2, sizeBytes: 1000 };
  const directory = written({ a: statement("x".repeat(500)), b: statement("x".repeat(300)) });
  assert.equal(readStatements(directory, "it", limits).length, 2);
  truncateSync(join(directory, "b"), 500);
  assert.throws(() => readStatements(directory, "it", limits), {
    message: "the scanner it has written more than 1000 bytes in its files, with b",
    kind: "resourceExhausted",
  });
  truncateSync(join(directory, "b"), 65 * mebibyte);
  assert.throws(() => readStatements(directory, "it"), /more than 67108864 bytes in its files, with b/);
});

test("refused before it is parsed: a text that becomes many times as large", () => {
  const limits = { files: 1, sizeBytes: 64 * mebibyte, memoryBytes: 16 * mebibyte };
  const many = written({ a: `{"predicate":[${"{},".repeat(mebibyte / 2)}` });
  assert.throws(() => readStatements(many, "it", limits), {
    message: /^the scanner it has written too much: .* more than 17 MB$/,
    kind: "resourceExhausted",
  });
  const long = written({ a: statement("x".repeat(2 * mebibyte)) });
  assert.equal(readStatements(long, "it", limits).length, 1);
});

test("nothing of a scanner's statements counts as kept in memory once they are read or refused", () => {
  assert.equal(MemoryBudget.keptBytes, 0);
});
