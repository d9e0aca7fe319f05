/** Messages that several of BuildKit's services use (solver/pb/ops.proto, google.rpc and google.protobuf). */
import { type Decoded, type Encodable, many, map, message, one } from "../protobuf.ts";

/** `google.protobuf.Timestamp`. */
export const timestamp = message({ seconds: one(1, "big"), nanos: one(2, "int32") });

/** From ns since the epoch. */
export function timestampOf(ns: bigint): Encodable<typeof timestamp> {
  return { seconds: ns / 1_000_000_000n, nanos: Number(ns % 1_000_000_000n) };
}

/** To ns since the epoch. */
export function timestampNs(value: Decoded<typeof timestamp>): bigint {
  return value.seconds * 1_000_000_000n + BigInt(value.nanos);
}

/** `google.protobuf.Any`. */
export const any = message({ type_url: one(1, "string"), value: one(2, "bytes") });

/** `google.rpc.Status`. */
export const status = message({ code: one(1, "int32"), message: one(2, "string"), details: many(3, any) });

const position = message({ line: one(1, "int32"), character: one(2, "int32") });
export const range = message({ start: one(1, position), end: one(2, position) });

export const sourceInfo = message({
  filename: one(1, "string"),
  data: one(2, "bytes"),
  language: one(4, "string"),
});

export const platform = message({
  Architecture: one(1, "string"),
  OS: one(2, "string"),
  Variant: one(3, "string"),
  OSVersion: one(4, "string"),
  OSFeatures: many(5, "string"),
});

/** A build graph in BuildKit's own form; its operations are kept as they are. */
export const definition = message({ def: many(1, "bytes"), metadata: map(2, "bytes") });

export const apiCapability = message({ ID: one(1, "string"), Enabled: one(2, "bool") });

/** A `map<string, string>` in the form that attributes have elsewhere. */
export function attributesOf(values: ReadonlyMap<string, string>): Record<string, string> {
  const attributes = Object.create(null) as Record<string, string>;
  for (const [key, value] of values) attributes[key] = value;
  return attributes;
}

export const stringMap = (number: number): ReturnType<typeof map<"string">> => map(number, "string");
