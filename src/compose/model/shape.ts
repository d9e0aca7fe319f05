/**
 * The model of a project as Docker Compose keeps it: which keys a service, a network and so on have, in which order they
 * are written, and what each value is. The order and the rules of what is left out decide the text of
 * `docker compose config` and the hash by which a changed service is known (compose-go 2.4, which Compose 2.26 is built
 * with), so they are data here: reading, writing and hashing follow this one table.
 */
export type Kind =
  | "string"
  | "int"
  | "float32"
  | "bool"
  /** Absent and false are two things. */
  | "optionalBool"
  /** Absent and zero are two things. */
  | "optionalInt"
  | "bytes"
  | "nanoCpus"
  | "duration"
  | "optionalDuration"
  /** A list; a string is split as a shell would. */
  | "command"
  | "healthTest"
  | "strings"
  /** `NAME: text`; lists are `NAME=text`. */
  | "mapping"
  /** The same, where a name may stand without a text. */
  | "environment"
  | "labels"
  | "hosts"
  | "deviceCount"
  | "ssh"
  | "ulimits"
  | "envFiles"
  | { readonly one: Shape }
  /** A part that is there even when it is empty. */
  | { readonly always: Shape }
  | { readonly list: Shape }
  | { readonly map: Shape };

export interface Field {
  readonly key: string;
  readonly kind: Kind;
  /** Written also when it is empty. */
  readonly keep?: boolean;
  /** Its name in JSON, where that is another. */
  readonly json?: string;
}

export interface Shape {
  readonly fields: readonly Field[];
  /** Keys with `x-` may stand in it. */
  readonly extensible: boolean;
}

/** Fields in their order. */
export type FieldList = readonly (readonly [key: string, kind: Kind, options?: Partial<Field>])[];

export function shape(fields: FieldList, extensible = true): Shape {
  return { fields: fields.map(([key, kind, options]) => ({ key, kind, ...options })), extensible };
}

/** Fields of one kind, by their keys with spaces between. */
export const each = (kind: Kind, keys: string): FieldList =>
  keys.split(" ").map((key) => [key, kind] as const);
