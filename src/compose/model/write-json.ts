/** Models as the JSON that Docker Compose writes and hashes: keys of a shape in its order, those of maps sorted. */
import { formatDuration, formatFloat32 } from "../go-values.ts";
import type { Decoded, EnvFile } from "./decode.ts";
import type { Field, Kind, Shape } from "./shape.ts";

/** The text of one part, without spaces, as Go's `json.Marshal` writes it. */
export function shapeJson(value: Decoded, shape: Shape): string {
  const parts: string[] = [];
  for (const field of shape.fields) {
    const text = fieldJson(value[field.key], field);
    if (text !== undefined) parts.push(`${jsonString(field.json ?? field.key)}:${text}`);
  }
  return `{${parts.join(",")}}`;
}

/** A string as Go writes it: `<`, `>` and `&` are escaped too. */
export function jsonString(text: string): string {
  return JSON.stringify(text.toWellFormed()).replace(/[<>&\u2028\u2029\u007f]/g, (char) =>
    char === "\u007f" ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function fieldJson(value: unknown, { kind, keep }: Field): string | undefined {
  if (typeof kind === "object" && "always" in kind) return shapeJson((value ?? {}) as Decoded, kind.always);
  if (isEmpty(value, kind)) {
    if (keep !== true) return undefined;
    if (kind === "command") return value === undefined ? "null" : "[]";
    if (kind === "bool") return "false";
    if (kind === "string") return '""';
    return typeof kind === "object" && "map" in kind ? "{}" : kind === "bytes" ? '"0"' : "0";
  }
  if (typeof kind !== "object") return scalarJson(value, kind);
  if ("one" in kind) return shapeJson(value as Decoded, kind.one);
  if ("list" in kind) return `[${(value as Decoded[]).map((each) => shapeJson(each, kind.list)).join(",")}]`;
  return mapJson(value as Record<string, Decoded | null>, (each) =>
    each === null ? "null" : shapeJson(each, kind.map),
  );
}

/** True for what `omitempty` leaves out. */
export function isEmpty(value: unknown, kind: Kind): boolean {
  if (value === undefined || value === null) return true;
  if (typeof kind === "object") {
    if ("one" in kind || "always" in kind) return false;
    return Object.keys(value).length === 0;
  }
  if (kind === "optionalBool" || kind === "optionalInt" || kind === "optionalDuration") return false;
  if (typeof value === "object") return Object.keys(value).length === 0;
  return value === "" || value === 0 || value === false;
}

function mapJson<T>(map: Readonly<Record<string, T>>, write: (value: T) => string): string {
  const keys = Object.keys(map).sort(compareBytes);
  return `{${keys.map((key) => `${jsonString(key)}:${write(map[key]!)}`).join(",")}}`;
}

/** Go compares strings by their UTF-8 bytes. */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

const nullable = (text: string | null): string => (text === null ? "null" : jsonString(text));

function scalarJson(value: unknown, kind: Extract<Kind, string>): string {
  switch (kind) {
    case "bytes":
      return `"${String(value)}"`;
    case "duration":
    case "optionalDuration":
      return jsonString(formatDuration(value as number));
    case "float32":
    case "nanoCpus":
      return formatFloat32(value as number);
    case "mapping":
    case "environment":
    case "labels":
      return mapJson(value as Record<string, string | null>, nullable);
    case "hosts":
      return `[${hostLines(value as Record<string, readonly string[]>)
        .map(jsonString)
        .join(",")}]`;
    case "ssh": {
      const keys = Object.entries(value as Record<string, string | null>);
      return `[${keys.map(([id, path]) => jsonString(path === null ? id : `${id}: ${path}`)).join(",")}]`;
    }
    case "ulimits":
      return mapJson(value as Record<string, Ulimit>, ulimitJson);
    case "envFiles":
      return `[${(value as EnvFile[]).map(envFileJson).join(",")}]`;
    default:
      if (Array.isArray(value)) return `[${(value as string[]).map(jsonString).join(",")}]`;
      return typeof value === "string" ? jsonString(value) : String(value);
  }
}

/** `single`, or `soft` and `hard`. */
export interface Ulimit {
  readonly single?: number;
  readonly soft?: number;
  readonly hard?: number;
}

function ulimitJson({ single = 0, soft = 0, hard = 0 }: Ulimit): string {
  if (single !== 0) return String(single);
  const parts = [...(soft === 0 ? [] : [`"soft":${soft}`]), ...(hard === 0 ? [] : [`"hard":${hard}`])];
  return `{${parts.join(",")}}`;
}

function envFileJson({ path, required, format }: EnvFile): string {
  const kind = format === "" ? "" : `,"format":${jsonString(format)}`;
  return required ? jsonString(path) : `{"path":${jsonString(path)},"required":false${kind}}`;
}

/** `host=address`, sorted. */
export function hostLines(hosts: Readonly<Record<string, readonly string[]>>): string[] {
  return Object.entries(hosts)
    .flatMap(([name, addresses]) => addresses.map((address) => `${name}=${address}`))
    .sort(compareBytes);
}

/** JSON text with line breaks, two spaces a level, as `json.MarshalIndent` lays it out. */
export function indentJson(text: string): string {
  let level = 0;
  let isString = false;
  let result = "";
  const line = (): string => `\n${"  ".repeat(level)}`;
  for (let index = 0; index < text.length; index++) {
    const char = text[index]!;
    if (isString) {
      result += char;
      if (char === "\\") result += text[++index]!;
      else if (char === '"') isString = false;
      continue;
    }
    const next = text[index + 1];
    if ((char === "{" && next === "}") || (char === "[" && next === "]")) {
      result += char + next;
      index++;
    } else if (char === "{" || char === "[") {
      level++;
      result += char + line();
    } else if (char === "}" || char === "]") {
      level--;
      result += line() + char;
    } else if (char === ",") result += char + line();
    else if (char === ":") result += ": ";
    else {
      isString = char === '"';
      result += char;
    }
  }
  return result;
}
