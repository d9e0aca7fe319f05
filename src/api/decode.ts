/**
 * Reads a request's JSON into a typed value by the rules of Go's decoder, which clients rely on: unknown fields are
 * ignored, names match whatever their case, `null` leaves a field unset, and a value of a wrong type is refused by a
 * sentence that names the field.
 */
import { invalidArgument } from "../base/errors.ts";

/** Turns a JSON value into a `T`, or throws `invalidArgument`. `field` is the path from the top: `HostConfig.Memory`. */
export type Decoder<T> = (value: unknown, field: string) => T;

/** One decoder for each field of `T`: a field that is added to the type and forgotten here does not compile. */
export type Fields<T> = { readonly [K in keyof T]-?: Decoder<NonNullable<T[K]>> };

function typeName(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "boolean") return value ? "true" : "false";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function wrongType(field: string, wanted: string, value: unknown): Error {
  const what = field === "" ? "the body" : `field ${field}`;
  return invalidArgument(`invalid JSON: ${what} must be ${wanted}, not ${typeName(value)}`);
}

export const string: Decoder<string> = (value, field) => {
  if (typeof value !== "string") throw wrongType(field, "a string", value);
  return value;
};

export const boolean: Decoder<boolean> = (value, field) => {
  if (typeof value !== "boolean") throw wrongType(field, "true or false", value);
  return value;
};

/** The largest whole number that is of 64 bits with sign also in the decimals that JavaScript writes for it. */
const largestInteger = 2 ** 63 - 1024;

/** A whole number of 64 bits with sign. Beyond 2^53 it is rounded, as every JSON number in JavaScript. */
export const integer: Decoder<number> = (value, field) => {
  if (typeof value !== "number") throw wrongType(field, "a whole number", value);
  if (!Number.isInteger(value) || Math.abs(value) > 2 ** 63) {
    throw invalidArgument(`invalid JSON: field ${field} must be a whole number of 64 bits, not ${value}`);
  }
  return Math.max(-largestInteger, Math.min(largestInteger, value));
};

/** An element that is `null` becomes `whenNull`, as Go gives it the type's zero value. */
export function arrayOf<T>(element: Decoder<T>, whenNull: T): Decoder<T[]> {
  return (value, field) => {
    if (!Array.isArray(value)) throw wrongType(field, "an array", value);
    return value.map((item: unknown, index) =>
      item === null ? whenNull : element(item, `${field}[${index}]`),
    );
  };
}

export const strings: Decoder<string[]> = arrayOf(string, "");

/** Command lines: an array of strings, or one string, which stands for an array with that element. */
export const commandLine: Decoder<string[]> = (value, field) =>
  typeof value === "string" ? [value] : strings(value, field);

/** A map. `Object.fromEntries` makes own properties, also of a key like `__proto__`. */
export function mapOf<T>(element: Decoder<T>, whenNull: T): Decoder<Record<string, T>> {
  return (value, field) => {
    const entries = Object.entries(plainObject(value, field));
    return Object.fromEntries(
      entries.map(([key, item]) => [key, item === null ? whenNull : element(item, `${field}[${key}]`)]),
    );
  };
}

export const stringMap: Decoder<Record<string, string>> = mapOf(string, "");

/** A set, written as a map with empty objects: `{"80/tcp":{}}`. */
export const keySet: Decoder<Record<string, Record<string, never>>> = (value, field) => {
  const empty: Decoder<Record<string, never>> = (item, path) => (plainObject(item, path), {});
  return mapOf(empty, {})(value, field);
};

/** Anything in an object; for parts of a request that are carried along and not looked at. */
export const anyObject: Decoder<Record<string, unknown>> = (value, field) => ({
  ...plainObject(value, field),
});

/** An object with known fields. Fields that are missing or `null` are left out of the result. */
export function object<T extends object>(fields: Fields<T>): Decoder<T> {
  const byLowerCase = new Map(Object.keys(fields).map((name) => [name.toLowerCase(), name]));
  const decoders: ReadonlyMap<string, Decoder<unknown>> = new Map(Object.entries(fields));
  return (value, field) => {
    const result: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(plainObject(value, field))) {
      const name = decoders.has(key) ? key : byLowerCase.get(key.toLowerCase());
      if (name === undefined || item === null) continue;
      result[name] = decoders.get(name)!(item, field === "" ? name : `${field}.${name}`);
    }
    return result as T;
  };
}

function plainObject(value: unknown, field: string): object {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrongType(field, "an object", value);
  }
  return value;
}
