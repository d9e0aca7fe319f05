import { formatValue, goSprintf } from "./format.ts";
import { isList, isMap, sortedKeys, toGoJson, typeName, type GoValue } from "./values.ts";

export type TemplateFunction = (...args: GoValue[]) => GoValue;

/** Go's `fmt.Sprint`: spaces between operands of which neither is a string. */
function sprint(args: readonly GoValue[]): string {
  let text = "";
  for (const [index, value] of args.entries()) {
    const before = args[index - 1];
    if (index > 0 && typeof value !== "string" && typeof before !== "string") text += " ";
    text += formatValue(value, true);
  }
  return text;
}

function lengthOf(value: GoValue): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (isList(value)) return value.length;
  if (isMap(value)) return value.size;
  if (value === undefined || value === null) throw new Error("len of nil pointer");
  throw new Error(`len of type ${typeName(value)}`);
}

function index(...args: GoValue[]): GoValue {
  let [item] = args;
  if (item === undefined || item === null) throw new Error("index of untyped nil");
  for (const key of args.slice(1)) {
    if (item === undefined || item === null) throw new Error("index of nil pointer");
    if (isMap(item)) {
      if (typeof key !== "string") {
        throw new Error(`value has type ${typeName(key)}; should be string`);
      }
      item = item.has(key) ? item.get(key) : zeroOfElements(item);
    } else if (isList(item) || typeof item === "string") {
      const at = indexArgument(key, isList(item) ? item.length : Buffer.byteLength(item));
      item = isList(item) ? item[at] : Buffer.from(item)[at];
    } else {
      throw new Error(`can't index item of type ${typeName(item)}`);
    }
  }
  return item;
}

/** What Go has for a key that is missing: the zero value of the elements, as far as they show their type. */
function zeroOfElements(map: ReadonlyMap<string, GoValue>): GoValue {
  return [...map.values()].every((value) => typeof value === "string") ? "" : undefined;
}

function indexArgument(key: GoValue, limit: number, isEnd = false): number {
  if (typeof key !== "number") {
    throw new Error(
      `cannot index slice/array with ${key === null || key === undefined ? "nil" : `type ${typeName(key)}`}`,
    );
  }
  if (key < 0 || key > limit || (key === limit && !isEnd)) throw new Error(`index out of range: ${key}`);
  return key;
}

function slice(item: GoValue, ...bounds: GoValue[]): GoValue {
  if (item === undefined || item === null) throw new Error("slice of untyped nil");
  if (bounds.length > 3) throw new Error(`too many slice indexes: ${bounds.length}`);
  if (typeof item !== "string" && !isList(item))
    throw new Error(`can't slice item of type ${typeName(item)}`);
  if (typeof item === "string" && bounds.length === 3) throw new Error("cannot 3-index slice a string");
  const whole = typeof item === "string" ? Buffer.from(item) : item;
  const [start = 0, end = whole.length] = bounds.map((bound) => indexArgument(bound, whole.length, true));
  if (start > end) throw new Error(`invalid slice index: ${start} > ${end}`);
  return Buffer.isBuffer(whole) ? whole.subarray(start, end).toString() : whole.slice(start, end);
}

type Kind = "bool" | "int" | "float" | "string" | "nil";

function kindOf(value: GoValue): Kind {
  if (value === undefined || value === null) return "nil";
  switch (typeof value) {
    case "boolean":
      return "bool";
    case "string":
      return "string";
    case "number":
      return Number.isInteger(value) ? "int" : "float";
    default:
      throw new Error(`non-comparable type ${formatValue(value)}: ${typeName(value)}`);
  }
}

function equals(first: GoValue, ...others: GoValue[]): boolean {
  if (others.length === 0) throw new Error("missing argument for comparison");
  const kind = kindOf(first);
  for (const other of others) {
    const otherKind = kindOf(other);
    if (kind !== otherKind && kind !== "nil" && otherKind !== "nil") {
      throw new Error("incompatible types for comparison");
    }
    if (kind === otherKind && (kind === "nil" || first === other)) return true;
  }
  return false;
}

function less(a: GoValue, b: GoValue): boolean {
  const [kindA, kindB] = [kindOf(a), kindOf(b)];
  if (kindA === "bool" || kindA === "nil") throw new Error("invalid type for comparison");
  if (kindA !== kindB) throw new Error("incompatible types for comparison");
  return kindA === "string"
    ? Buffer.compare(Buffer.from(a as string), Buffer.from(b as string)) < 0
    : (a as number) < (b as number);
}

const htmlEscapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "'": "&#39;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&#34;",
  "\0": "\uFFFD",
};

function escapeJs(text: string): string {
  return text.replace(/[\\'"<>&=]|\p{Cc}/gu, (char) => {
    if (char === "\\" || char === "'" || char === '"') return `\\${char}`;
    const named: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
    return named[char] ?? `\\u${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  });
}

function needString(value: GoValue, what: string): string {
  if (typeof value === "string") return value;
  throw new Error(`wrong type for value; expected string; got ${typeName(value)}${what}`);
}

function needNumber(value: GoValue): number {
  if (typeof value === "number") return value;
  throw new Error(`wrong type for value; expected int; got ${typeName(value)}`);
}

function join(values: GoValue, separator: GoValue): string {
  const glue = needString(separator, "");
  if (isList(values)) return values.map((value) => formatValue(value, true)).join(glue);
  if (isMap(values)) {
    return sortedKeys(values)
      .map((key) => `${key}=${formatValue(values.get(key), true)}`)
      .join(glue);
  }
  if (values === undefined || values === null) return "";
  throw new Error(`expected slice, got ${typeName(values)}`);
}

/** Functions of Go's text/template, except `and` and `or`, which do not evaluate all of their arguments. */
const builtins: Readonly<Record<string, TemplateFunction>> = {
  print: (...args) => sprint(args),
  println: (...args) => `${args.map((value) => formatValue(value, true)).join(" ")}\n`,
  printf: (format, ...args) => goSprintf(needString(format, ""), args),
  len: lengthOf,
  index,
  slice,
  eq: equals,
  ne: (a, b) => !equals(a, b),
  lt: less,
  le: (a, b) => less(a, b) || equals(a, b),
  gt: (a, b) => !less(a, b) && !equals(a, b),
  ge: (a, b) => !less(a, b),
  html: (...args) => sprint(args).replace(/[&'<>"\0]/g, (char) => htmlEscapes[char]!),
  js: (...args) => escapeJs(sprint(args)),
  urlquery: (...args) => encodeURIComponent(sprint(args)).replaceAll("%20", "+"),
  call: (callee, ...args) => {
    if (typeof callee !== "function") throw new Error(`non-function of type ${typeName(callee)}`);
    return callee(...args);
  },
};

/** Functions that Docker's command line adds. */
const additions: Readonly<Record<string, TemplateFunction>> = {
  json: (value) => toGoJson(value),
  split: (text, separator) => needString(text, "").split(needString(separator, "")),
  join,
  title: (text) => needString(text, "").replace(/(^|[\s\p{P}\p{S}])(\p{L})/gu, (all) => all.toUpperCase()),
  lower: (text) => needString(text, "").toLowerCase(),
  upper: (text) => needString(text, "").toUpperCase(),
  pad: (text, before, after) => {
    const value = needString(text, "");
    return value === "" ? "" : " ".repeat(needNumber(before)) + value + " ".repeat(needNumber(after));
  },
  truncate: (text, length) => {
    const value = needString(text, "");
    const count = needNumber(length);
    return Buffer.byteLength(value) > count ? Buffer.from(value).subarray(0, count).toString() : value;
  },
};

/** All functions of a template over data. */
export const templateFunctions: Readonly<Record<string, TemplateFunction>> = { ...builtins, ...additions };

/** The same for the run that makes a table's header: functions that would spoil a header leave it as it is. */
export const headerFunctions: Readonly<Record<string, TemplateFunction>> = {
  ...templateFunctions,
  json: (value) => value,
  title: (value) => value,
  lower: (value) => value,
  upper: (value) => value,
  truncate: (value) => value,
  join: (value) => value,
  split: (value) => value,
};

/** Names that `and` and `or` would have if they were among {@link templateFunctions}. */
export function isFunctionName(name: string): boolean {
  return name === "and" || name === "or" || name === "not" || Object.hasOwn(templateFunctions, name);
}
