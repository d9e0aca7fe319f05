import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { processWord } from "./word.ts";

const variables = new Map([
  ["HOME", "/root"],
  ["EMPTY", ""],
  ["P", "/usr/local/lib/python3.11"],
  ["V", "v1.2.3-rc.1"],
  ["SP", "a  b"],
  ["STARS", "a*b*c"],
]);
const escape = "\\" as const;

test("variables, quotes and modifiers give what a shell gives", () => {
  const table: [string, string][] = [
    ["plain", "plain"],
    ["$HOME/x", "/root/x"],
    ["${HOME}x", "/rootx"],
    ["\\$HOME", "$HOME"],
    ["'$HOME'", "$HOME"],
    ['"$HOME"', "/root"],
    ['"a\\"b\\$c\\d"', 'a"b$c\\d'],
    ["a\\ b", "a b"],
    ["$", "$"],
    ["a$-", "a"],
    ["$$", ""],
    ["$1st", "st"],
    ["${NONE}", ""],
    ["${NONE:-d}", "d"],
    ["${NONE-d}", "d"],
    ["${EMPTY:-d}", "d"],
    ["${EMPTY-d}", ""],
    ["${HOME:+set}", "set"],
    ["${EMPTY:+set}", ""],
    ["${EMPTY+set}", "set"],
    ["${NONE+set}", ""],
    ["${HOME:?must}", "/root"],
    ["${NONE:-${HOME}/x}", "/root/x"],
    ["${NONE:-'a}b'}", "a}b"],
    ["${P#*/}", "usr/local/lib/python3.11"],
    ["${P##*/}", "python3.11"],
    ["${P%/*}", "/usr/local/lib"],
    ["${P%%/*}", ""],
    ["${V#v}", "1.2.3-rc.1"],
    ["${V%-rc.?}", "v1.2.3"],
    ["${V/./_}", "v1_2.3-rc.1"],
    ["${V//./_}", "v1_2_3-rc_1"],
    ["${P//\\//-}", "-usr-local-lib-python3.11"],
    ["${STARS//\\*/+}", "a+b+c"],
    ["${V//*/x}", "x"],
    ["${V/none/x}", "v1.2.3-rc.1"],
    ["<<EOF", "<<EOF"],
    ["ünïcode $V", "ünïcode v1.2.3-rc.1"],
  ];
  for (const [word, expected] of table)
    assert.equal(processWord(word, variables, { escape }).text, expected, word);
});

test("a fault says what is wrong with the word", () => {
  const table: [string, RegExp][] = [
    [
      "'open",
      /failed to process "'open": unexpected end of statement while looking for matching single-quote/,
    ],
    ['"open', /looking for matching double-quote/],
    ["${HOME", /unsupported modifier|missing '}'/],
    ["${HOME:-x", /syntax error: missing '}'/],
    ["${}", /bad substitution/],
    ["${:x}", /bad substitution/],
    ["${HOME:#x}", /unsupported modifier \(:#\) in substitution/],
    ["${HOME!x}", /unsupported modifier \(!\) in substitution/],
    ["${HOME/x}", /syntax error: missing '\/' in \$\{\}/],
    ["${NONE?}", /NONE: is not allowed to be unset/],
    ["${EMPTY:?}", /EMPTY: is not allowed to be empty/],
    ["${NONE:?give one}", /NONE: give one/],
    ["${V#\\x}", /invalid pattern \(\\x\) in substitution: invalid escape '\\x'/],
  ];
  for (const [word, expected] of table)
    assert.throws(() => processWord(word, variables, { escape }), expected, word);
});

test("words are split after variables were replaced, and never in quotes", () => {
  const words = (text: string): readonly string[] => processWord(text, variables, { escape }).words;
  assert.deepEqual(words("a  $SP c"), ["a", "a", "b", "c"]);
  assert.deepEqual(words(`"$SP" 'x y' z\\ z`), ["a  b", "x y", "z z"]);
  assert.deepEqual(words(" "), []);
});

test("what has no value can stay as it is written", () => {
  const options = { escape, rawQuotes: true, keepUnset: true };
  const text = `echo "$NONE" '$HOME' \${NONE:-x} \${NONE} $HOME`;
  assert.equal(processWord(text, variables, options).text, `echo "$NONE" '$HOME' \${NONE:-x} \${NONE} /root`);
});

test("names with and without a value are told apart", () => {
  const result = processWord("$HOME ${NONE} ${OTHER:-$V}", variables, { escape });
  assert.deepEqual([...result.matched].sort(), ["HOME", "V"]);
  assert.deepEqual([...result.unmatched].sort(), ["NONE", "OTHER"]);
});

test("any text comes back from single quotes, and from escapes", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      const single = `'${text.replaceAll("'", "")}'`;
      assert.equal(processWord(single, variables, { escape }).text, single.slice(1, -1));
      const escaped = Array.from(text, (character) => `\\${character}`).join("");
      assert.equal(processWord(escaped, variables, { escape }).text, text);
    }),
  );
});
