/**
 * Values of templates, with Go's distinction between maps and structs: a map is a `Map` (printed as `map[k:v]`, a missing
 * key is no error by itself), a struct is a {@link GoStruct} (printed as `{v w}`, an unknown field is an error).
 */
export type GoValue =
  | undefined
  | null
  | boolean
  | number
  | string
  | readonly GoValue[]
  | ReadonlyMap<string, GoValue>
  | GoStruct
  | GoMethod;

/** A method of a struct, called with the arguments that stand behind it. */
export type GoMethod = (...args: GoValue[]) => GoValue;

/** A Go struct: fields in order. Methods (functions without arguments, called at their use) may stand among them. */
export class GoStruct {
  /** As error messages show it: `*formatter.ContainerContext`. */
  readonly typeName: string;
  readonly fields: Readonly<Record<string, GoValue>>;
  /** Fields that Go's struct has and that JSON leaves out when they are empty, with their zero values. */
  readonly zeros: Readonly<Record<string, GoValue>>;
  /** All fields in the order in which the whole struct is printed; without it those that there are. */
  readonly layout: readonly string[] | undefined;

  constructor(
    typeName: string,
    fields: Readonly<Record<string, GoValue>>,
    zeros: Readonly<Record<string, GoValue>> = {},
    layout?: readonly string[],
  ) {
    this.typeName = typeName;
    this.fields = fields;
    this.zeros = zeros;
    this.layout = layout;
  }

  /** The fields as the whole struct is printed: also those that JSON left out. */
  printed(): [name: string, value: GoValue][] {
    const names = this.layout ?? Object.keys(this.fields);
    return names.map((name) => [name, this.fields[name] ?? this.zeros[name] ?? null]);
  }
}

export function isMap(value: GoValue): value is ReadonlyMap<string, GoValue> {
  return value instanceof Map;
}

export function isList(value: GoValue): value is readonly GoValue[] {
  return Array.isArray(value);
}

/** Nil of a type that is known to be a list or a map: printed as an empty one, `null` in JSON. */
const nilList: readonly GoValue[] = Object.freeze([]);
const nilMap: ReadonlyMap<string, GoValue> = new Map();

/** Keys of a map in the order in which Go's templates and printing go through it. */
export function sortedKeys(map: ReadonlyMap<string, GoValue>): string[] {
  return [...map.keys()].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Parsed JSON as maps and lists, as Go decodes it into `interface{}`. */
export function mapsFromJson(json: unknown): GoValue {
  if (Array.isArray(json)) return json.map(mapsFromJson);
  if (typeof json === "object" && json !== null) {
    return new Map(Object.entries(json).map(([key, value]) => [key, mapsFromJson(value)]));
  }
  return json as GoValue;
}

/** Which parts of an object are maps, and which fields it may lack, for {@link structsFromJson}. */
export interface StructShape {
  /** Names of fields that hold maps with keys of the user's: `Labels` at any depth, or `LogConfig.Config`. */
  readonly maps: ReadonlySet<string>;
  /** Names of fields that hold pointers, whose nil is printed as `<nil>`; any other nil is an empty list or map. */
  readonly pointers: ReadonlySet<string>;
  /** Names of fields that are left out when they are empty, with their zero values. */
  readonly zeros: Readonly<Record<string, GoValue>>;
  /** All fields of structs that are printed whole, by the name of the field that holds them. */
  readonly layouts?: Readonly<Record<string, readonly string[]>>;
}

/** Parsed JSON as structs, as Go decodes it into a typed value; fields of `shape.maps` become maps. */
export function structsFromJson(json: unknown, shape: StructShape, parent = ""): GoValue {
  if (Array.isArray(json)) return json.map((value) => structsFromJson(value, shape, parent));
  if (typeof json !== "object" || json === null) return json as GoValue;
  const fields: Record<string, GoValue> = {};
  for (const [key, value] of Object.entries(json)) {
    const isMapField = shape.maps.has(key) || shape.maps.has(`${parent}.${key}`);
    if (value === null) fields[key] = isMapField ? nilMap : shape.pointers.has(key) ? null : nilList;
    else if (isMapField && typeof value === "object" && !Array.isArray(value)) {
      const items = Object.entries(value as object).map(([name, item]): [string, GoValue] => [
        name,
        item === null ? nilList : structsFromJson(item, shape, key),
      ]);
      fields[key] = new Map(items);
    } else fields[key] = structsFromJson(value, shape, key);
  }
  return new GoStruct("struct", fields, shape.zeros, shape.layouts?.[parent]);
}

/** Go's truth: false, 0, nil, and what is empty are not true. */
export function isTrue(value: GoValue): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === "") return false;
  if (isList(value)) return value.length > 0;
  if (isMap(value)) return value.size > 0;
  return true;
}

/** The name of a value's type in messages. */
export function typeName(value: GoValue): string {
  if (value === undefined || value === null) return "<nil>";
  if (value instanceof GoStruct) return value.typeName;
  if (isList(value)) return value.every((item) => typeof item === "string") ? "[]string" : "[]interface {}";
  if (isMap(value)) return "map[string]interface {}";
  switch (typeof value) {
    case "boolean":
      return "bool";
    case "number":
      return Number.isInteger(value) ? "int" : "float64";
    case "string":
      return "string";
    default:
      return "func()";
  }
}

/**
 * JSON as Go's `encoding/json` writes it: maps sorted by key, structs in their order. Rows of lists have `<`, `>` and `&`
 * escaped, because Docker's rows marshal themselves and other values do not.
 */
export function toGoJson(value: GoValue): string {
  const text = JSON.stringify(toPlain(value)) ?? "null";
  if (!(value instanceof GoStruct) || !value.typeName.startsWith("*")) return text;
  return text.replace(/[<>&]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
}

function toPlain(value: GoValue): unknown {
  if (value === nilList || value === nilMap) return null;
  if (isList(value)) return value.map(toPlain);
  if (isMap(value)) return Object.fromEntries(sortedKeys(value).map((key) => [key, toPlain(value.get(key))]));
  if (value instanceof GoStruct) {
    const entries = Object.entries(value.fields).map(([name, field]): [string, unknown] => {
      return [name, toPlain(typeof field === "function" ? field() : field)];
    });
    return Object.fromEntries(entries);
  }
  return value === undefined ? null : value;
}
