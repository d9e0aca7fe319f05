/** Docker's API as the fuzzer knows it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** A part of JSON schema: what is enough to make a value that fits, and one that does not. */
export interface Schema {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly items?: Schema;
  /** Schema of the values of an object with any keys. */
  readonly values?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly allOf?: readonly Schema[];
  /** Name of a definition. */
  readonly ref?: string;
}

export interface Parameter extends Schema {
  /** `path`, `query` or `header`. */
  readonly in: string;
  readonly name: string;
}

export interface Operation {
  readonly method: string;
  /** `/containers/{id}/json` */
  readonly path: string;
  readonly parameters: readonly Parameter[];
  readonly body?: Schema;
}

export interface ApiDescription {
  readonly apiVersion: string;
  readonly operations: readonly Operation[];
  readonly definitions: Readonly<Record<string, Schema>>;
}

/** What `test/fuzz/read-openapi.ts` made of the newest description. */
export function readApiDescription(): ApiDescription {
  const path = join(import.meta.dirname, "../fixtures/engine-api-operations.json");
  return JSON.parse(readFileSync(path, "utf8")) as ApiDescription;
}
