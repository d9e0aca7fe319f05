import { deepEqual, throws } from "node:assert/strict";
import { describe, it } from "node:test";
import { DotenvError, parseDotenv, parseRawEnv } from "./dotenv.ts";

const outside = (name: string): string | undefined => (name === "OUT" ? "outside" : undefined);

describe("parseDotenv", () => {
  const cases: readonly (readonly [text: string, result: Record<string, string>])[] = [
    ["", {}],
    ["# only a comment", {}],
    ["A=1\nB=2\n", { A: "1", B: "2" }],
    ["A = 1 ", { A: "1" }],
    ["A: yaml", { A: "yaml" }],
    ["export A=1", { A: "1" }],
    ["A=", { A: "" }],
    ["A=a b # comment", { A: "a b" }],
    ["A=a#b", { A: "a#b" }],
    ["A='single $OUT'", { A: "single $OUT" }],
    ["A='it\\'s'", { A: "it's" }],
    ['A="double $OUT"', { A: "double outside" }],
    ['A="line\\nbreak"', { A: "line\nbreak" }],
    ['A="two\nlines"', { A: "two\nlines" }],
    ['A="say \\"x\\""', { A: 'say "x"' }],
    ['A="\\$OUT"', { A: "$OUT" }],
    ["A=$OUT", { A: "outside" }],
    ["A=1\nB=${A}2", { A: "1", B: "12" }],
    ["A=${NONE:-x}", { A: "x" }],
    ["A=$$", { A: "$" }],
    ["OUT\nNONE\nA=1", { OUT: "outside", A: "1" }],
    ["\uFEFFA=1", { A: "1" }],
    ["A=1\r\nB=2\r\n", { A: "1", B: "2" }],
    ["A.b-c_d=1", { "A.b-c_d": "1" }],
  ];
  for (const [text, result] of cases) {
    it(JSON.stringify(text), () => deepEqual(Object.fromEntries(parseDotenv(text, outside)), result));
  }

  const refused: readonly (readonly [text: string, words: RegExp])[] = [
    ["A=1\nB!=2", /line 2: unexpected character "!" in variable name/],
    ["A B=1", /key cannot contain a space/],
    ['A="open', /line 1: unterminated quoted value "open/],
  ];
  for (const [text, words] of refused) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      throws(
        () => parseDotenv(text, outside),
        (error: unknown) => error instanceof DotenvError && words.test(error.message),
      );
    });
  }
});

describe("parseRawEnv", () => {
  it("takes everything after the equals sign as it is", () => {
    const text = "# c\nA=\"x\" $OUT # y\nOUT\nNONE\n\nB='1'\n";
    deepEqual(Object.fromEntries(parseRawEnv(text, outside)), {
      A: '"x" $OUT # y',
      OUT: "outside",
      B: "'1'",
    });
  });

  it("refuses names with blanks", () => {
    throws(() => parseRawEnv("A B=1", outside), DotenvError);
  });
});
