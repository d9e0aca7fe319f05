/** A file against the JSON schema of the Compose specification, of which it uses a dozen keywords (draft 7). */
import { isMap, type Tree, type TreePath } from "../tree.ts";
import specification from "./compose-spec.json" with { type: "json" };

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly uniqueItems?: boolean;
  readonly oneOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** What does not fit, and where. */
export interface Misfit {
  readonly path: TreePath;
  readonly message: string;
}

const root = specification as unknown as Schema & { readonly definitions: Readonly<Record<string, Schema>> };

/** The most telling thing that is wrong with a file, or undefined. Its words are those of Docker Compose. */
export function checkSchema(file: Tree): Misfit | undefined {
  return check(file, root, []);
}

const names: Readonly<Record<string, string>> = { object: "mapping", array: "list" };

function check(value: Tree, schema: Schema, path: TreePath): Misfit | undefined {
  if (schema.$ref !== undefined) return check(value, definition(schema.$ref), path);
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices !== undefined) {
    const misfit = checkChoices(value, choices, path);
    if (misfit !== undefined) return misfit;
  }
  for (const each of schema.allOf ?? []) {
    const misfit = check(value, each, path);
    if (misfit !== undefined) return misfit;
  }
  const types = typesOf(schema);
  if (types.length > 0 && !types.some((type) => isOfType(value, type))) {
    return { path, message: `must be a ${wordsFor(types)}` };
  }
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    const list = schema.enum.map((each) => JSON.stringify(each)).join(", ");
    return { path, message: `must be one of the following: ${list}` };
  }
  if (isMap(value)) return checkMap(value, schema, path);
  if (Array.isArray(value)) return checkList(value, schema, path);
  return checkScalar(value, schema, path);
}

function definition(reference: string): Schema {
  return root.definitions[reference.slice(reference.lastIndexOf("/") + 1)]!;
}

function typesOf(schema: Schema): readonly string[] {
  if (schema.type === undefined) return [];
  return typeof schema.type === "string" ? [schema.type] : schema.type;
}

function isOfType(value: Tree, type: string): boolean {
  switch (type) {
    case "null":
      return value === null;
    case "array":
      return Array.isArray(value);
    case "object":
      return isMap(value);
    case "integer":
      return typeof value === "bigint" || Number.isInteger(value);
    case "number":
      return typeof value === "bigint" || typeof value === "number";
    default:
      return typeof value === type;
  }
}

function wordsFor(types: readonly string[]): string {
  const words = [...new Set(types.map((type) => names[type] ?? type))];
  const last = words.pop()!;
  return words.length === 0 ? last : `${words.join(", ")} or ${last}`;
}

/** None of the choices fits: the one that goes deepest was meant. */
function checkChoices(value: Tree, choices: readonly Schema[], path: TreePath): Misfit | undefined {
  let deepest: Misfit | undefined;
  const types: string[] = [];
  for (const choice of choices) {
    const misfit = check(value, choice, path);
    if (misfit === undefined) return undefined;
    const resolved = choice.$ref === undefined ? choice : definition(choice.$ref);
    types.push(...typesOf(resolved));
    const isOwnType = typesOf(resolved).some((type) => isOfType(value, type));
    if (isOwnType && (deepest === undefined || misfit.path.length > deepest.path.length)) deepest = misfit;
  }
  return deepest ?? { path, message: `must be a ${wordsFor(types)}` };
}

function checkMap(value: Readonly<Record<string, Tree>>, schema: Schema, path: TreePath): Misfit | undefined {
  for (const name of schema.required ?? []) {
    if (!(name in value)) return { path, message: `${name} is required` };
  }
  let found: Misfit | undefined;
  for (const [key, each] of Object.entries(value)) {
    const misfit = checkProperty(key, each, { schema, path });
    if (misfit !== undefined && (found === undefined || misfit.path.length > found.path.length)) {
      found = misfit;
    }
  }
  return found;
}

function checkProperty(
  key: string,
  value: Tree,
  { schema, path }: { readonly schema: Schema; readonly path: TreePath },
): Misfit | undefined {
  const below = [...path, key];
  const own = schema.properties !== undefined && Object.hasOwn(schema.properties, key);
  if (own) return check(value, schema.properties[key]!, below);
  for (const [pattern, each] of Object.entries(schema.patternProperties ?? {})) {
    if (new RegExp(pattern).test(key)) return check(value, each, below);
  }
  if (schema.additionalProperties === false) {
    return { path, message: `Additional property ${key} is not allowed` };
  }
  return typeof schema.additionalProperties === "object"
    ? check(value, schema.additionalProperties, below)
    : undefined;
}

function checkList(value: readonly Tree[], schema: Schema, path: TreePath): Misfit | undefined {
  if (schema.items !== undefined) {
    for (const [index, each] of value.entries()) {
      const misfit = check(each, schema.items, [...path, String(index)]);
      if (misfit !== undefined) return misfit;
    }
  }
  if (schema.uniqueItems !== true) return undefined;
  const seen = new Map<string, number>();
  for (const [index, each] of value.entries()) {
    const text = JSON.stringify(each, (_key, part: unknown) =>
      typeof part === "bigint" ? `${part}n` : part,
    );
    const earlier = seen.get(text);
    if (earlier !== undefined) {
      return { path, message: `array items[${earlier},${index}] must be unique` };
    }
    seen.set(text, index);
  }
  return undefined;
}

function checkScalar(value: Tree, schema: Schema, path: TreePath): Misfit | undefined {
  if (typeof value === "string" && schema.pattern !== undefined && !new RegExp(schema.pattern).test(value)) {
    return { path, message: `Does not match pattern '${schema.pattern}'` };
  }
  if (typeof value !== "number") return undefined;
  if (schema.minimum !== undefined && value < schema.minimum) {
    return { path, message: `Must be greater than or equal to ${schema.minimum}` };
  }
  if (schema.maximum !== undefined && value > schema.maximum) {
    return { path, message: `Must be less than or equal to ${schema.maximum}` };
  }
  return undefined;
}
