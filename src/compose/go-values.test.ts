import { deepEqual, equal } from "node:assert/strict";
import { describe, it } from "node:test";
import {
  compareNaturally,
  formatDuration,
  formatFloat32,
  parseBytes,
  parseDuration,
  sprint,
} from "./go-values.ts";
import { splitWords } from "./model/shell-words.ts";

describe("durations as Go writes and reads them", () => {
  const cases: readonly (readonly [text: string, nanoseconds: number, shown: string])[] = [
    ["0", 0, "0s"],
    ["90s", 90e9, "1m30s"],
    ["1h", 3600e9, "1h0m0s"],
    ["1.5s", 1.5e9, "1.5s"],
    ["250ms", 250e6, "250ms"],
    ["1us", 1e3, "1\u00b5s"],
    ["1m0.5s", 60.5e9, "1m0.5s"],
    ["-2s", -2e9, "-2s"],
  ];
  for (const [text, nanoseconds, shown] of cases) {
    it(`${text} is ${shown}`, () => {
      equal(parseDuration(text), nanoseconds);
      equal(formatDuration(nanoseconds), shown);
    });
  }

  it("and what is none", () => {
    for (const text of ["", "5", "5x", "s", "1 s"]) equal(parseDuration(text), undefined, text);
  });
});

describe("sizes", () => {
  const cases: readonly (readonly [text: string, bytes: number | undefined])[] = [
    ["100", 100],
    ["1k", 1024],
    ["1.5m", 1.5 * 1024 ** 2],
    ["2gb", 2 * 1024 ** 3],
    ["1GiB", 1024 ** 3],
    ["-1", -1],
    ["x", undefined],
    ["5q", undefined],
  ];
  for (const [text, bytes] of cases) it(text, () => equal(parseBytes(text), bytes));
});

describe("numbers and orders", () => {
  it("writes numbers as fmt does", () => {
    deepEqual([1, 1.5, 1234567.5, 0.00001, 12345678901234567890n, true, null].map(sprint), [
      "1",
      "1.5",
      "1.2345675e+06",
      "1e-05",
      "12345678901234567890",
      "true",
      "<nil>",
    ]);
    equal(formatFloat32(Math.fround(0.1)), "0.1");
  });

  it("sorts keys with their numbers", () => {
    deepEqual(["a10", "a2", "b", "A", "a-1", "a_1"].sort(compareNaturally), [
      "A",
      "a-1",
      "a_1",
      "a2",
      "a10",
      "b",
    ]);
  });
});

describe("splitWords", () => {
  const cases: readonly (readonly [text: string, words: readonly string[] | undefined])[] = [
    ["", []],
    ["a  b", ["a", "b"]],
    [`a "b c" 'd e'`, ["a", "b c", "d e"]],
    ["a\\ b", ["a b"]],
    [`"a\\"b"`, ['a"b']],
    [`'a\\b'`, ["a\\b"]],
    ["a''b", ["ab"]],
    ["a ; b", ["a"]],
    ["a && b", ["a"]],
    ["echo $(a b) c", ["echo", "$(a b)", "c"]],
    ["echo `a b`", ["echo", "`a b`"]],
    ['"open', undefined],
    ["(a)", undefined],
  ];
  for (const [text, words] of cases) it(JSON.stringify(text), () => deepEqual(splitWords(text), words));
});
