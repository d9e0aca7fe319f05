/**
 * Reads what a fuzzer needs out of Docker's API description (`api/swagger.yaml` of the Moby project): methods, paths,
 * parameters and the shape of bodies, without a word of its prose. The outcome is test/fixtures/engine-api-operations.json.
 *
 * Usage: node test/fuzz/read-openapi.ts swagger.yaml > test/fixtures/engine-api-operations.json
 */
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import type { ApiDescription, Operation, Parameter, Schema } from "./operations.ts";

interface RawSchema extends Record<string, unknown> {
  type?: string | string[];
  properties?: Record<string, RawSchema>;
  items?: RawSchema;
  additionalProperties?: RawSchema | boolean;
  allOf?: RawSchema[];
  enum?: unknown[];
  $ref?: string;
}

interface RawParameter extends RawSchema {
  name: string;
  in: string;
  schema?: RawSchema;
}

interface RawOperation {
  parameters?: RawParameter[];
  consumes?: string[];
}

interface RawDescription {
  info: { version: string };
  paths: Record<string, Record<string, RawOperation>>;
  definitions: Record<string, RawSchema>;
}

function bare(raw: RawSchema): Schema {
  if (raw.$ref !== undefined) return { ref: raw.$ref.replace("#/definitions/", "") };
  const { properties, items, additionalProperties, allOf } = raw;
  const type = Array.isArray(raw.type) ? raw.type[0] : raw.type;
  return {
    ...(type === undefined ? {} : { type }),
    ...(raw.enum === undefined ? {} : { enum: raw.enum.map(String) }),
    ...(items === undefined ? {} : { items: bare(items) }),
    ...(typeof additionalProperties === "object" ? { values: bare(additionalProperties) } : {}),
    ...(allOf === undefined ? {} : { allOf: allOf.map(bare) }),
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(
            Object.entries(properties).map(([name, value]) => [name, bare(value)]),
          ),
        }),
  };
}

function parameterOf(raw: RawParameter): Parameter {
  return { in: raw.in, name: raw.name, ...bare(raw) };
}

function operationOf(method: string, path: string, raw: RawOperation): Operation {
  const all = raw.parameters ?? [];
  const body = all.find((parameter) => parameter.in === "body")?.schema;
  return {
    method: method.toUpperCase(),
    path,
    parameters: all.filter((parameter) => parameter.in !== "body").map(parameterOf),
    ...(body === undefined ? {} : { body: bare(body) }),
  };
}

/** Names of the definitions that `schema` needs, those that they need included. */
function reach(schema: Schema, definitions: Record<string, Schema>, found: Set<string>): void {
  if (schema.ref !== undefined && !found.has(schema.ref)) {
    found.add(schema.ref);
    reach(definitions[schema.ref] ?? {}, definitions, found);
  }
  const parts = [
    ...Object.values(schema.properties ?? {}),
    ...(schema.allOf ?? []),
    schema.items,
    schema.values,
  ];
  for (const part of parts) if (part !== undefined) reach(part, definitions, found);
}

function read(text: string): ApiDescription {
  const raw = parse(text) as RawDescription;
  const operations = Object.entries(raw.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => operationOf(method, path, operation)),
  );
  const definitions = Object.fromEntries(
    Object.entries(raw.definitions).map(([name, schema]) => [name, bare(schema)]),
  );
  const needed = new Set<string>();
  for (const { body } of operations) if (body !== undefined) reach(body, definitions, needed);
  return {
    apiVersion: raw.info.version,
    operations,
    definitions: Object.fromEntries(Object.entries(definitions).filter(([name]) => needed.has(name))),
  };
}

/** One operation and one definition a line, so that a new version's differences can be read. */
function write({ apiVersion, operations, definitions }: ApiDescription): string {
  const lines = operations.map((operation) => `    ${JSON.stringify(operation)}`);
  const schemas = Object.entries(definitions).map(
    ([name, schema]) => `    ${JSON.stringify(name)}: ${JSON.stringify(schema)}`,
  );
  return `{
  "apiVersion": ${JSON.stringify(apiVersion)},
  "operations": [
${lines.join(",\n")}
  ],
  "definitions": {
${schemas.join(",\n")}
  }
}
`;
}

process.stdout.write(write(read(readFileSync(process.argv[2] ?? "", "utf8"))));
