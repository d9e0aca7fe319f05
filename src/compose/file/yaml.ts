/**
 * Compose files as trees. Scalars are read by the rules of Go's yaml.v3, which Docker Compose uses: YAML 1.2 with the
 * octal numbers and underscores of YAML 1.1, and `yes` and `on` as words.
 */
import {
  isAlias,
  isMap as isYamlMap,
  isScalar,
  isSeq,
  LineCounter,
  parseAllDocuments,
  type Document,
  type Node,
  type Scalar,
  type YAMLMap,
} from "yaml";
import { ComposeError, type Position } from "../errors.ts";
import { formatFloat, sprint } from "../go-values.ts";
import { treeMap, type Tree, type TreeMap, type TreePath } from "../tree.ts";
import { Positions } from "./positions.ts";

/** One YAML document of a compose file. */
export interface YamlDocument {
  readonly tree: Tree;
  readonly positions: Positions;
  /** What `!reset` and `!override` stand before: in earlier files this goes. */
  readonly resets: readonly TreePath[];
}

/** A file of a few lines must not become gigabytes by aliases of aliases. */
const maximumNodes = 200_000;

/** Reads the documents of a file. Throws {@link ComposeError} with the place of what is no YAML. */
export function readYaml(text: string, file: string): YamlDocument[] {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text.replace(/^\uFEFF/, ""), {
    schema: "failsafe",
    uniqueKeys: false,
    lineCounter: lines,
    prettyErrors: false,
    logLevel: "silent",
  });
  if (!Array.isArray(documents)) return [];
  return documents.map((document) => new Reader(document, lines, file).read());
}

class Reader {
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  readonly #file: string;
  readonly #positions = new Positions();
  readonly #resets: TreePath[] = [];
  readonly #open = new Set<Node>();
  #nodes = 0;

  constructor(document: Document.Parsed, lines: LineCounter, file: string) {
    this.#document = document;
    this.#lines = lines;
    this.#file = file;
  }

  read(): YamlDocument {
    const [error] = this.#document.errors;
    if (error !== undefined) {
      throw new ComposeError(`yaml: ${error.message.split("\n")[0]!}`, {
        position: this.#at(error.pos[0]),
        exitCode: 15,
      });
    }
    const root = this.#document.contents as Node | null;
    this.#positions.set([], this.#place(root));
    const tree = root === null ? null : this.#node(root, []);
    return { tree: tree ?? null, positions: this.#positions, resets: this.#resets };
  }

  #at(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#file, line: Math.max(line, 1), column: Math.max(col, 1) };
  }

  #place(node: Node | null): Position {
    return this.#at(node?.range?.[0] ?? 0);
  }

  #fail(node: Node | null, path: TreePath, message: string): ComposeError {
    const name = path.join(".");
    return new ComposeError(name === "" ? message : `${name}: ${message}`, {
      position: this.#place(node),
      exitCode: 15,
    });
  }

  /** The value of a node; undefined when `!reset` takes it out. */
  #node(node: Node, path: TreePath): Tree | undefined {
    if (++this.#nodes > maximumNodes) throw this.#fail(node, path, "document contains excessive aliasing");
    if (isAlias(node)) {
      const target = node.resolve(this.#document);
      if (target === undefined) throw this.#fail(node, path, `unknown anchor '${node.source}' referenced`);
      return this.#node(target, path);
    }
    if (node.tag === "!reset") {
      this.#resets.push(path);
      return undefined;
    }
    if (node.tag === "!override") this.#resets.push(path);
    if (this.#open.has(node)) throw this.#fail(node, path, "an anchor contains itself");
    this.#open.add(node);
    try {
      if (isYamlMap(node)) return this.#map(node, path);
      if (isSeq(node)) return this.#list(node.items as Node[], path);
      return isScalar(node) ? this.#scalar(node, path) : null;
    } finally {
      this.#open.delete(node);
    }
  }

  #list(items: readonly Node[], path: TreePath): Tree[] {
    const list: Tree[] = [];
    for (const item of items) {
      const itemPath = [...path, String(list.length)];
      const value = this.#node(item, itemPath);
      if (value === undefined) continue;
      this.#positions.setIfNew(itemPath, this.#place(item));
      list.push(value);
    }
    return list;
  }

  #map(node: YAMLMap, path: TreePath): TreeMap {
    const map = treeMap();
    const seen = new Map<string, number>();
    const merges: Node[] = [];
    for (const { key, value } of node.items as { key: Node; value: Node | null }[]) {
      const place = this.#place(key);
      const name = this.#key(key, path);
      const earlier = seen.get(name);
      if (earlier !== undefined && name !== "<<") {
        throw this.#fail(key, [...path, name], `mapping key "${name}" already defined at line ${earlier}`);
      }
      seen.set(name, place.line);
      if (name === "<<" && isScalar(key) && key.type === "PLAIN") {
        if (value !== null) merges.push(value);
        continue;
      }
      const child = [...path, name];
      this.#positions.setIfNew(child, place);
      const read = value === null ? null : this.#node(value, child);
      if (read !== undefined) map[name] = read;
    }
    for (const merge of merges) this.#merge(map, merge, path);
    return map;
  }

  #key(key: Node, path: TreePath): string {
    const value = isAlias(key) ? key.resolve(this.#document) : key;
    if (!isScalar(value)) throw this.#fail(key, path, "a key must be a string");
    const read = this.#scalar(value, path);
    if (typeof read === "string") return read;
    const where = path.length === 0 ? "at top level" : `in ${path.join(".")}`;
    throw this.#fail(key, path, `Non-string key ${where}: ${sprint(read)}`);
  }

  /** Takes in what `<<` names: what is there already stays, and of several the first wins. */
  #merge(map: TreeMap, source: Node, path: TreePath): void {
    const target = isAlias(source) ? source.resolve(this.#document) : source;
    const sources = isSeq(target) ? (target.items as Node[]) : [source];
    for (const each of sources) {
      const node = isAlias(each) ? each.resolve(this.#document) : each;
      if (!isYamlMap(node))
        throw this.#fail(each, path, "map merge requires map or sequence of maps as the value");
      const value = this.#node(node, path) as TreeMap;
      for (const [key, child] of Object.entries(value)) if (!(key in map)) map[key] = child;
    }
  }

  #scalar(node: Scalar, path: TreePath): Tree {
    const text = typeof node.value === "string" ? node.value : "";
    const tag = node.tag?.replace("tag:yaml.org,2002:", "!!") ?? "";
    if (tag === "!!str") return text;
    if (tag === "!!binary") return Buffer.from(text, "base64").toString("latin1");
    if (node.type !== "PLAIN" && !tag.startsWith("!!")) return text;
    const value = plainScalar(text);
    if (tag === "!!float" && typeof value === "number") return value;
    if (tag.startsWith("!!") && !tag.endsWith(typeWord(value))) {
      throw this.#fail(node, path, `cannot decode ${typeWord(value)} \`${text}\` as a ${tag}`);
    }
    return value;
  }
}

function typeWord(value: Tree): string {
  if (value === null) return "null";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "float";
  return typeof value === "bigint" ? "int" : "str";
}

const constants = new Map<string, Tree>([
  ...["", "~", "null", "Null", "NULL"].map((word) => [word, null] as const),
  ...["true", "True", "TRUE"].map((word) => [word, true] as const),
  ...["false", "False", "FALSE"].map((word) => [word, false] as const),
  ...[".nan", ".NaN", ".NAN"].map((word) => [word, Number.NaN] as const),
  ...[".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"].map((word) => [word, Infinity] as const),
  ...["-.inf", "-.Inf", "-.INF"].map((word) => [word, -Infinity] as const),
]);

/** True for a scalar that is text without quotes. */
export function isPlainText(text: string): boolean {
  return plainScalar(text) === text && !/^[-+]?\d(\.\d+)?e\+\d\d+$/.test(text);
}

/** What a scalar without quotes means. */
function plainScalar(text: string): Tree {
  const constant = constants.get(text);
  if (constant !== undefined) return constant;
  if (!/^[-+.\d]/.test(text)) return text;
  const digits = text.replaceAll("_", "");
  const integer = readInteger(digits);
  if (integer !== undefined) return integer;
  // yaml.v3 wants digits, one point and an exponent; Go alone would read more.
  if (!/^[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?$/.test(digits)) return text;
  const float = Number(digits);
  // A whole number that was written as a fraction has another text in Go than an integer: 1e6 is "1e+06".
  return Number.isInteger(float) && Math.abs(float) >= 1e6 ? formatFloat(float) : float;
}

function readInteger(text: string): Tree | undefined {
  const match = /^([-+]?)(0b[01]+|0o[0-7]+|0x[\da-fA-F]+|0[0-7]+|0|[1-9]\d*)$/.exec(text);
  if (match === null) return undefined;
  const digits = /^0[0-7]+$/.test(match[2]!) ? `0o${match[2]!.slice(1)}` : match[2]!;
  const value = match[1] === "-" ? -BigInt(digits) : BigInt(digits);
  const isSafe = value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER);
  if (isSafe) return Number(value);
  return value >= -(2n ** 63n) && value < 2n ** 64n ? value : Number(value);
}
