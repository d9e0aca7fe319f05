import { deepEqual, equal, throws } from "node:assert/strict";
import { describe, it } from "node:test";
import { interpolate, InvalidTemplateError, MissingVariableError, variablesOf } from "./interpolate.ts";

const variables = new Map([
  ["FOO", "foo"],
  ["EMPTY", ""],
  ["BAR", "bar"],
  ["_u1", "u"],
]);
const lookup = (name: string): string | undefined => variables.get(name);

describe("interpolate", () => {
  const cases: readonly (readonly [text: string, result: string])[] = [
    ["plain", "plain"],
    ["$FOO", "foo"],
    ["${FOO}", "foo"],
    ["a${FOO}b", "afoob"],
    ["$FOO$BAR", "foobar"],
    ["$FOO-x", "foo-x"],
    ["$_u1.", "u."],
    ["$NONE", ""],
    ["${NONE}", ""],
    ["$$FOO", "$FOO"],
    ["$$$FOO", "$foo"],
    ["$${FOO}", "${FOO}"],
    ["$", "$"],
    ["a $ b", "a $ b"],
    ["$1", "$1"],
    ["$-", "$-"],
    ["${FOO:-x}", "foo"],
    ["${EMPTY:-x}", "x"],
    ["${NONE:-x}", "x"],
    ["${NONE:-}", ""],
    ["${FOO-x}", "foo"],
    ["${EMPTY-x}", ""],
    ["${NONE-x}", "x"],
    ["${FOO:+x}", "x"],
    ["${EMPTY:+x}", ""],
    ["${NONE:+x}", ""],
    ["${FOO+x}", "x"],
    ["${EMPTY+x}", "x"],
    ["${NONE+x}", ""],
    ["${FOO:?no}", "foo"],
    ["${FOO?no}", "foo"],
    ["${EMPTY?no}", ""],
    ["${NONE:-$FOO}", "foo"],
    ["${NONE:-${FOO}}", "foo"],
    ["${NONE:-${EMPTY:-${BAR}}}", "bar"],
    ["${NONE:-a${FOO}b}c", "afoobc"],
    ["${NONE-${FOO:+yes}}", "yes"],
    ["${NONE:-a}${NONE:-b}", "ab"],
    ["${NONE:-x:y-z?q+r}", "x:y-z?q+r"],
    ["${NONE:--}", "-"],
    ["${NONE:-$$}", "$"],
    ["${NONE:-{x}}", "{x}"],
    ["${NONE:-{x}", "{x"],
  ];
  for (const [text, result] of cases) {
    it(`${text} is ${JSON.stringify(result)}`, () => equal(interpolate(text, { lookup }), result));
  }

  const refused: readonly (readonly [text: string, error: new (message?: string) => Error, words: RegExp])[] =
    [
      ["${", InvalidTemplateError, /\$\{/],
      ["${}", InvalidTemplateError, /\$\{\}/],
      ["${1A}", InvalidTemplateError, /1A/],
      ["${ FOO}", InvalidTemplateError, / FOO/],
      ["${FOO!x}", InvalidTemplateError, /!x/],
      ["${NONE:-a\nb}", InvalidTemplateError, /a\nb/],
      ["${NONE:?say why}", MissingVariableError, /^required variable NONE is missing a value: say why$/],
      ["${EMPTY:?why}", MissingVariableError, /EMPTY is missing a value: why/],
      ["${NONE?}", MissingVariableError, /^required variable NONE is missing a value$/],
      ["${NONE:?$FOO}", MissingVariableError, /: foo$/],
    ];
  for (const [text, error, words] of refused) {
    it(`${JSON.stringify(text)} is refused`, () => {
      throws(
        () => interpolate(text, { lookup }),
        (thrown: unknown) => thrown instanceof error && words.test(thrown.message),
      );
    });
  }

  it("tells of variables that are not set, not of those with a default", () => {
    const unset: string[] = [];
    interpolate("$A ${B} ${C:-x} ${D+x} $FOO", { lookup, onUnset: (name) => unset.push(name) });
    deepEqual(unset, ["A", "B"]);
  });
});

describe("variablesOf", () => {
  it("names variables with what is said of them, also within defaults", () => {
    const uses = variablesOf("$A ${B:-x${C}} ${D?must} ${E:+e} $$F");
    deepEqual(
      uses.map(({ name, isRequired, defaultValue, presenceValue }) => [
        name,
        isRequired,
        defaultValue,
        presenceValue,
      ]),
      [
        ["A", false, "", ""],
        ["B", false, "x${C}", ""],
        ["C", false, "", ""],
        ["D", true, "", ""],
        ["E", false, "", "e"],
      ],
    );
  });
});
