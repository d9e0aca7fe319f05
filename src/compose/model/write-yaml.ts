/** Models as the YAML that Docker Compose writes: the layout and the quotes of Go's yaml.v3. */
import { compareNaturally, formatDuration, formatFloat, formatFloat32 } from "../go-values.ts";
import { isPlainText } from "../file/yaml.ts";
import { isMap, type Tree } from "../tree.ts";
import { extensions, type Decoded, type EnvFile } from "./decode.ts";
import type { Field, Kind, Shape } from "./shape.ts";
import { hostLines, isEmpty, type Ulimit } from "./write-json.ts";

/** A value on its way to YAML: maps as lists of pairs, in the order in which they are written. */
export type Node =
  | { readonly pairs: readonly (readonly [string, Node])[] }
  | { readonly items: readonly Node[] }
  | { readonly text: string }
  | { readonly raw: string };

/** A part as its shape says, with its extension keys at the end. */
export function shapeNode(value: Decoded, shape: Shape): Node {
  const pairs: [string, Node][] = [];
  for (const field of shape.fields) {
    const node = fieldNode(value[field.key], field);
    if (node !== undefined) pairs.push([field.key, node]);
  }
  const extra = (value as { [extensions]?: Record<string, Tree> })[extensions] ?? {};
  for (const key of Object.keys(extra).sort(compareNaturally)) pairs.push([key, treeNode(extra[key]!)]);
  return { pairs };
}

/** Any tree, keys sorted. */
export function treeNode(value: Tree): Node {
  if (Array.isArray(value)) return { items: value.map(treeNode) };
  if (isMap(value)) {
    return {
      pairs: Object.keys(value)
        .sort(compareNaturally)
        .map((key) => [key, treeNode(value[key]!)] as const),
    };
  }
  if (typeof value === "string") return { text: value };
  if (typeof value === "number" && !Number.isInteger(value)) return { raw: floatText(value) };
  return { raw: String(value) };
}

function floatText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? ".nan" : value > 0 ? ".inf" : "-.inf";
  return formatFloat(value);
}

function isNothing(value: unknown, kind: Kind): boolean {
  if (typeof kind === "object" && "always" in kind) return isZero(value, kind.always);
  return isEmpty(value, kind) && !(kind === "command" && Array.isArray(value));
}

/** A part without anything in it. */
function isZero(value: unknown, shape: Shape): boolean {
  if (value === undefined) return true;
  const decoded = value as Decoded;
  if (extensions in decoded) return false;
  return shape.fields.every((field) => isNothing(decoded[field.key], field.kind));
}

function fieldNode(value: unknown, { kind, keep }: Field): Node | undefined {
  if (isNothing(value, kind)) {
    if (keep !== true || kind === "command") return undefined;
    if (kind === "bool") return { raw: "false" };
    if (kind === "string") return { text: "" };
    return kind === "bytes" ? { text: "0" } : typeof kind === "object" ? { pairs: [] } : { raw: "0" };
  }
  if (typeof kind !== "object") return scalarNode(value, kind);
  if ("one" in kind) return shapeNode(value as Decoded, kind.one);
  if ("always" in kind) return shapeNode(value as Decoded, kind.always);
  if ("list" in kind) return { items: (value as Decoded[]).map((each) => shapeNode(each, kind.list)) };
  const map = value as Record<string, Decoded | null>;
  return {
    pairs: Object.keys(map)
      .sort(compareNaturally)
      .map((key) => [key, shapeOrNull(map[key] ?? null, kind.map)] as const),
  };
}

function shapeOrNull(value: Decoded | null, shape: Shape): Node {
  return value === null ? { raw: "null" } : shapeNode(value, shape);
}

function scalarNode(value: unknown, kind: Extract<Kind, string>): Node {
  switch (kind) {
    case "bytes":
      return { text: String(value) };
    case "duration":
    case "optionalDuration":
      return { text: formatDuration(value as number) };
    case "float32":
    case "nanoCpus":
      return { raw: formatFloat32(value as number) };
    case "mapping":
    case "environment":
    case "labels":
      return pairsNode(value as Record<string, string | null>);
    case "ssh": {
      const keys = Object.entries(value as Record<string, string | null>);
      return { items: keys.map(([id, path]) => ({ text: path === null ? id : `${id}: ${path}` })) };
    }
    case "hosts":
      return { items: hostLines(value as Record<string, string[]>).map((text) => ({ text })) };
    case "ulimits":
      return ulimitsNode(value as Record<string, Ulimit>);
    case "envFiles":
      return { items: (value as EnvFile[]).map(envFileNode) };
    default:
      if (Array.isArray(value)) return { items: (value as string[]).map((text) => ({ text })) };
      return typeof value === "string" ? { text: value } : { raw: String(value) };
  }
}

function pairsNode(map: Readonly<Record<string, string | null>>): Node {
  const keys = Object.keys(map).sort(compareNaturally);
  return { pairs: keys.map((key) => [key, nullable(map[key]!)] as const) };
}

function nullable(text: string | null): Node {
  return text === null ? { raw: "null" } : { text };
}

function ulimitsNode(map: Readonly<Record<string, Ulimit>>): Node {
  const keys = Object.keys(map).sort(compareNaturally);
  return {
    pairs: keys.map((key) => {
      const { single = 0, soft = 0, hard = 0 } = map[key]!;
      if (single !== 0) return [key, { raw: String(single) }] as const;
      const both: Node = {
        pairs: [
          ["soft", { raw: String(soft) }],
          ["hard", { raw: String(hard) }],
        ],
      };
      return [key, both] as const;
    }),
  };
}

function envFileNode({ path, required }: EnvFile): Node {
  if (required) return { text: path };
  return {
    pairs: [
      ["path", { text: path }],
      ["required", { raw: "false" }],
    ],
  };
}

/** The text of a document. */
export function yamlText(node: Node): string {
  const lines: string[] = [];
  block(node, 0, lines);
  return lines.map((line) => `${line}\n`).join("");
}

function isBlock(node: Node): boolean {
  return ("pairs" in node && node.pairs.length > 0) || ("items" in node && node.items.length > 0);
}

function block(node: Node, indent: number, lines: string[]): void {
  const space = " ".repeat(indent);
  if ("pairs" in node && node.pairs.length > 0) {
    for (const [key, value] of node.pairs) entry(`${space}${quoted(key)}:`, value, indent, lines);
  } else if ("items" in node && node.items.length > 0) {
    for (const item of node.items) {
      if (!isBlock(item)) {
        entry(`${space}-`, item, indent, lines);
        continue;
      }
      const inner: string[] = [];
      block(item, indent + 2, inner);
      lines.push(`${space}- ${inner[0]!.slice(indent + 2)}`, ...inner.slice(1));
    }
  } else lines.push(space + inline(node));
}

function entry(head: string, value: Node, indent: number, lines: string[]): void {
  if (isBlock(value)) {
    lines.push(head);
    block(value, indent + 2, lines);
  } else if ("text" in value && isLiteral(value.text)) {
    lines.push(`${head} ${literalHead(value.text)}`, ...literalLines(value.text, indent + 2));
  } else lines.push(`${head} ${inline(value)}`);
}

function inline(node: Node): string {
  if ("raw" in node) return node.raw;
  if ("text" in node) return quoted(node.text);
  return "pairs" in node ? "{}" : "[]";
}

/** Several lines are written as they are, unless something in them cannot be. */
function isLiteral(text: string): boolean {
  return text.includes("\n") && isPrintable(text) && !text.includes(" \n") && !text.endsWith(" ");
}

function literalHead(text: string): string {
  const hint = /^[ \n]/.test(text) ? "2" : "";
  const chomp = !text.endsWith("\n") ? "-" : text === "\n" || text.endsWith("\n\n") ? "+" : "";
  return `|${hint}${chomp}`;
}

function literalLines(text: string, indent: number): string[] {
  const body = text.endsWith("\n") ? text.slice(0, -1) : text;
  return body.split("\n").map((line) => (line === "" ? "" : " ".repeat(indent) + line));
}

function isPrintable(text: string): boolean {
  return !/[^\t\n\x20-\x7e\u0085\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd]/u.test(text);
}

/** A string in the quotes that it needs. */
function quoted(text: string): string {
  if (!isPrintable(text) || /[\t\n]/.test(text)) return doubleQuoted(text);
  // What would be read as something else than a string.
  if (!isPlainText(text) || isOldNotation(text)) return doubleQuoted(text);
  return isPlain(text) ? text : `'${text.replaceAll("'", "''")}'`;
}

/** Booleans and numbers of YAML 1.1, and dates: quoted for readers of older kinds. */
function isOldNotation(text: string): boolean {
  return (
    /^(y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF)$/.test(text) ||
    /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/.test(text) ||
    /^\d{4}-\d{1,2}-\d{1,2}([Tt ].*)?$/.test(text)
  );
}

function isPlain(text: string): boolean {
  if (text === "" || /^[\s]|[\s]$/.test(text)) return false;
  if (/^[#,[\]{}&*!|>'"%@`]/.test(text) || /^(---|\.\.\.)/.test(text)) return false;
  if (/^[-?:](\s|$)/.test(text)) return false;
  return !/: |:$| #|\t/.test(text);
}

function doubleQuoted(text: string): string {
  let result = "";
  for (const char of text) {
    const known = doubleEscapes.get(char);
    if (known !== undefined) result += known;
    else if (isPrintable(char)) result += char;
    else result += hexEscape(char.codePointAt(0)!);
  }
  return `"${result}"`;
}

const doubleEscapes = new Map([
  ['"', '\\"'],
  ["\\", "\\\\"],
  ["\0", "\\0"],
  ["\x07", "\\a"],
  ["\b", "\\b"],
  ["\t", "\\t"],
  ["\n", "\\n"],
  ["\v", "\\v"],
  ["\f", "\\f"],
  ["\r", "\\r"],
  ["\x1b", "\\e"],
  ["\u0085", "\\N"],
  ["\u2028", "\\L"],
  ["\u2029", "\\P"],
]);

function hexEscape(code: number): string {
  const hex = code.toString(16).toUpperCase();
  if (code <= 0xff) return `\\x${hex.padStart(2, "0")}`;
  return code <= 0xffff ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}
