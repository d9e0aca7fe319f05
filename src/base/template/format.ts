import { goQuote } from "../go-text.ts";
import { GoStruct, isList, isMap, sortedKeys, typeName, type GoValue } from "./values.ts";

/** Go's `%v`: how `{{.X}}` and `print` write a value. */
export function formatValue(value: GoValue, isNested = false): string {
  if (value === undefined) return isNested ? "<nil>" : "<no value>";
  if (value === null) return "<nil>";
  if (isList(value)) return `[${value.map((item) => formatValue(item, true)).join(" ")}]`;
  if (isMap(value)) {
    const pairs = sortedKeys(value).map((key) => `${key}:${formatValue(value.get(key), true)}`);
    return `map[${pairs.join(" ")}]`;
  }
  if (value instanceof GoStruct) {
    const fields = value.printed().map(([, field]) => formatValue(callField(field), true));
    return `{${fields.join(" ")}}`;
  }
  if (typeof value === "number") return formatNumber(value);
  return typeof value === "function" ? "0x0" : String(value);
}

function callField(field: GoValue): GoValue {
  return typeof field === "function" ? field() : field;
}

/** Go writes floats with an exponent below 1e-4 and from 1e21 on (`%v` is `%g` with the shortest digits). */
function formatNumber(value: number): string {
  if (Number.isInteger(value) || (Math.abs(value) >= 1e-4 && Math.abs(value) < 1e21)) return String(value);
  return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
}

interface Verb {
  readonly flags: string;
  readonly width: number | undefined;
  readonly precision: number | undefined;
  readonly letter: string;
}

/** Go's `fmt.Sprintf`, with its notes about mistakes (`%!d(string=x)`, `%!(EXTRA int=1)`) in the text. */
export function goSprintf(format: string, args: readonly GoValue[]): string {
  let index = 0;
  const text = format.replace(
    /%([-+# 0]*)(\*|\d+)?(?:\.(\*|\d*))?([\s\S]|$)/gu,
    (_all, ...groups: (string | undefined)[]) => {
      const [flags = "", widthText, precisionText, letter = ""] = groups;
      const number = (given: string | undefined): number | undefined => {
        if (given === undefined) return undefined;
        if (given === "*") return Number(args[index++] ?? 0);
        return given === "" ? 0 : Number(given);
      };
      const width = number(widthText);
      const precision = number(precisionText);
      if (letter === "") return "%!(NOVERB)";
      if (letter === "%") return "%";
      if (index >= args.length) return `%!${letter}(MISSING)`;
      return formatVerb({ flags, width, precision, letter }, args[index++]);
    },
  );
  if (index >= args.length) return text;
  const extra = args.slice(index).map((value) => {
    return value === null || value === undefined ? "<nil>" : `${typeName(value)}=${formatValue(value)}`;
  });
  return `${text}%!(EXTRA ${extra.join(", ")})`;
}

function formatVerb(verb: Verb, value: GoValue): string {
  const body = verbBody(verb, value);
  const { flags, width = 0 } = verb;
  const length = Array.from(body).length;
  if (length >= width) return body;
  if (flags.includes("-")) return body + " ".repeat(width - length);
  const isNumber = typeof value === "number";
  if (flags.includes("0") && isNumber) {
    const sign = /^[+-]/.exec(body)?.[0] ?? "";
    return sign + body.slice(sign.length).padStart(width - sign.length, "0");
  }
  return " ".repeat(width - length) + body;
}

function verbBody(verb: Verb, value: GoValue): string {
  const { letter } = verb;
  if (letter === "T") return typeName(value);
  if (letter === "v") {
    if (verb.flags.includes("+") && typeof value === "number" && value >= 0) return `+${formatValue(value)}`;
    if (verb.flags.includes("+") && value instanceof GoStruct) return structWithNames(value);
    if (verb.flags.includes("#") && typeof value === "string") return goQuote(value);
    return value === undefined ? "<nil>" : formatValue(value);
  }
  if (isList(value)) return `[${value.map((item) => verbBody(verb, item)).join(" ")}]`;
  if (isMap(value)) {
    const pairs = sortedKeys(value).map((key) => `${verbBody(verb, key)}:${verbBody(verb, value.get(key))}`);
    return `map[${pairs.join(" ")}]`;
  }
  if (value instanceof GoStruct) {
    return `{${value
      .printed()
      .map(([, field]) => verbBody(verb, callField(field)))
      .join(" ")}}`;
  }
  const text = scalarVerb(verb, value);
  if (text !== undefined) return text;
  if (value === null || value === undefined) return `%!${letter}(<nil>)`;
  return `%!${letter}(${typeName(value)}=${formatValue(value)})`;
}

function structWithNames(value: GoStruct): string {
  const fields = value.printed().map(([name, field]) => {
    const inner = callField(field);
    return `${name}:${inner instanceof GoStruct ? structWithNames(inner) : formatValue(inner, true)}`;
  });
  return `{${fields.join(" ")}}`;
}

function scalarVerb(verb: Verb, value: GoValue): string | undefined {
  if (typeof value === "string") return stringVerb(verb, value);
  if (typeof value === "boolean") return verb.letter === "t" ? String(value) : undefined;
  if (typeof value === "number") {
    // Without types 2.0 cannot be told from 2: the verb decides.
    return (Number.isInteger(value) ? integerVerb(verb, value) : undefined) ?? floatVerb(verb, value);
  }
  return undefined;
}

function stringVerb({ letter, precision, flags }: Verb, value: string): string | undefined {
  const text = precision === undefined ? value : Array.from(value).slice(0, precision).join("");
  switch (letter) {
    case "s":
      return text;
    case "q":
      return flags.includes("#") && !text.includes("`") ? `\`${text}\`` : goQuote(text);
    case "x":
      return Buffer.from(text).toString("hex");
    case "X":
      return Buffer.from(text).toString("hex").toUpperCase();
    default:
      return undefined;
  }
}

const bases: Readonly<Record<string, number>> = { d: 10, b: 2, o: 8, O: 8, x: 16, X: 16 };
const prefixes: Readonly<Record<string, string>> = { x: "0x", X: "0X", o: "0", b: "0b", O: "0o" };

function integerVerb({ letter, flags, precision }: Verb, value: number): string | undefined {
  const base = bases[letter];
  if (base !== undefined) {
    let digits = Math.abs(value).toString(base);
    if (letter === "X") digits = digits.toUpperCase();
    if (precision !== undefined) digits = digits.padStart(precision, "0");
    const prefix = flags.includes("#") || letter === "O" ? (prefixes[letter] ?? "") : "";
    return signOf(value, flags) + prefix + digits;
  }
  if (letter === "c") return String.fromCodePoint(value);
  if (letter === "q") return `'${String.fromCodePoint(value)}'`;
  return letter === "U" ? `U+${value.toString(16).toUpperCase().padStart(4, "0")}` : undefined;
}

function floatVerb({ letter, flags, precision }: Verb, value: number): string | undefined {
  const sign = signOf(value, flags);
  const size = Math.abs(value);
  switch (letter) {
    case "f":
    case "F":
      return sign + size.toFixed(precision ?? 6);
    case "e":
      return sign + size.toExponential(precision ?? 6).replace(/e([+-])(\d)$/, "e$10$2");
    case "g":
      return (
        sign +
        (precision === undefined ? formatNumber(size) : String(Number(size.toPrecision(precision || 1))))
      );
    default:
      return undefined;
  }
}

function signOf(value: number, flags: string): string {
  if (value < 0) return "-";
  if (flags.includes("+")) return "+";
  return flags.includes(" ") ? " " : "";
}
