/**
 * Messages of Protocol Buffers (proto3) as data: a table of fields gives their TypeScript types, and is what encoding and
 * decoding go by. The wire format itself is @bufbuild/protobuf's.
 */
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** How a scalar is kept: `number` for what never passes 2^53, `big` for nanoseconds and ids of 64 bits. */
interface Scalars {
  readonly string: string;
  /** A string that need not be UTF-8 (names of files): its bytes as latin1. */
  readonly latin1: string;
  readonly bytes: Uint8Array;
  readonly bool: boolean;
  readonly int32: number;
  readonly uint32: number;
  readonly int64: number;
  readonly big: bigint;
}

type Scalar = keyof Scalars;
type Kind = Scalar | AnyMessage;
// oxlint-disable-next-line typescript/no-explicit-any -- a message of any fields; the tables themselves are typed
type AnyMessage = MessageType<any>;

interface Field<K extends Kind, R extends "one" | "many" | "map"> {
  readonly number: number;
  readonly kind: K;
  readonly repeat: R;
}

type Fields = Readonly<Record<string, Field<Kind, "one" | "many" | "map">>>;
type ValueOf<K extends Kind> = K extends Scalar
  ? Scalars[K]
  : K extends MessageType<infer F>
    ? Message<F>
    : never;
type InitOf<K extends Kind> = K extends Scalar
  ? Scalars[K]
  : K extends MessageType<infer F>
    ? Init<F>
    : never;

/** What decoding gives: scalars that were not sent are empty, messages undefined. */
export type Message<F extends Fields> = {
  readonly [Name in keyof F]: F[Name] extends Field<infer K, infer R>
    ? R extends "many"
      ? readonly ValueOf<K>[]
      : R extends "map"
        ? ReadonlyMap<string, ValueOf<K>>
        : K extends Scalar
          ? ValueOf<K>
          : ValueOf<K> | undefined
    : never;
};

/** What encoding takes: everything may be left out. */
export type Init<F extends Fields> = {
  readonly [Name in keyof F]?:
    | (F[Name] extends Field<infer K, infer R>
        ? R extends "many"
          ? Iterable<InitOf<K>>
          : R extends "map"
            ? ReadonlyMap<string, InitOf<K>>
            : InitOf<K>
        : never)
    | undefined;
};

/** A message's type, to be encoded and decoded. */
export interface MessageType<F extends Fields> {
  readonly fields: F;
  encode(message: Init<F>): Uint8Array;
  /** Throws a plain `Error` for bytes that are no such message. */
  decode(bytes: Uint8Array): Message<F>;
}

/** The decoded form of a message type. */
export type Decoded<T> = T extends MessageType<infer F> ? Message<F> : never;
export type Encodable<T> = T extends MessageType<infer F> ? Init<F> : never;

export function one<K extends Kind>(number: number, kind: K): Field<K, "one"> {
  return { number, kind, repeat: "one" };
}

export function many<K extends Kind>(number: number, kind: K): Field<K, "many"> {
  return { number, kind, repeat: "many" };
}

/** `map<string, …>`. */
export function map<K extends Kind>(number: number, kind: K): Field<K, "map"> {
  return { number, kind, repeat: "map" };
}

export function message<F extends Fields>(fields: F): MessageType<F> {
  const byNumber = new Map(Object.entries(fields).map(([name, field]) => [field.number, { name, field }]));
  const empty = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, emptyOf(field)]));
  const numbered = [...byNumber.values()].sort((a, b) => a.field.number - b.field.number);
  return {
    fields,
    encode(value) {
      const writer = new BinaryWriter();
      for (const { name, field } of numbered)
        writeField(writer, field, (value as Record<string, unknown>)[name]);
      return writer.finish();
    },
    decode(bytes) {
      const reader = new BinaryReader(bytes);
      const value: Record<string, unknown> = { ...empty };
      while (reader.pos < reader.len) {
        const [number, wireType] = reader.tag();
        const known = byNumber.get(number);
        if (known === undefined) reader.skip(wireType, number);
        else readField(reader, wireType, known.field, { name: known.name, value });
      }
      return value as Message<F>;
    },
  };
}

/** Shared by all messages; a field that was sent gets one of its own. */
const noItems: readonly never[] = Object.freeze([]);
const noEntries: ReadonlyMap<string, never> = new Map<string, never>();

function emptyOf({ repeat, kind }: Field<Kind, "one" | "many" | "map">): unknown {
  if (repeat === "many") return noItems;
  if (repeat === "map") return noEntries;
  return typeof kind === "string" ? emptyScalar(kind) : undefined;
}

function emptyScalar(kind: Scalar): unknown {
  if (kind === "string" || kind === "latin1") return "";
  if (kind === "bytes") return new Uint8Array();
  if (kind === "bool") return false;
  return kind === "big" ? 0n : 0;
}

function isEmpty(value: unknown): boolean {
  return (
    value === "" ||
    value === 0 ||
    value === 0n ||
    value === false ||
    (value instanceof Uint8Array && value.length === 0)
  );
}

function wireTypeOf(kind: Kind): WireType {
  return typeof kind !== "string" || kind === "string" || kind === "latin1" || kind === "bytes"
    ? WireType.LengthDelimited
    : WireType.Varint;
}

function writeField(writer: BinaryWriter, field: Field<Kind, "one" | "many" | "map">, value: unknown): void {
  if (value === undefined) return;
  const { number, kind, repeat } = field;
  if (repeat === "map") {
    for (const [key, item] of value as ReadonlyMap<string, unknown>) {
      writer.tag(number, WireType.LengthDelimited).fork();
      writeValue(writer, 1, "string", key);
      writeValue(writer, 2, kind, item);
      writer.join();
    }
  } else if (repeat === "many") {
    for (const item of value as Iterable<unknown>) writeValue(writer, number, kind, item);
  } else if (typeof kind !== "string" || !isEmpty(value)) {
    writeValue(writer, number, kind, value);
  }
}

function writeValue(writer: BinaryWriter, number: number, kind: Kind, value: unknown): void {
  writer.tag(number, wireTypeOf(kind));
  if (typeof kind !== "string") writer.bytes(kind.encode(value as Init<Fields>));
  else if (kind === "latin1") writer.bytes(Buffer.from(value as string, "latin1"));
  else if (kind === "big") writer.int64(value as bigint);
  else (writer[kind] as (value: unknown) => unknown).call(writer, value);
}

function readField(
  reader: BinaryReader,
  wireType: WireType,
  field: Field<Kind, "one" | "many" | "map">,
  into: { readonly name: string; readonly value: Record<string, unknown> },
): void {
  const { kind, repeat } = field;
  const wanted = repeat === "map" ? WireType.LengthDelimited : wireTypeOf(kind);
  if (repeat === "many" && into.value[into.name] === noItems) into.value[into.name] = [];
  if (repeat === "map" && into.value[into.name] === noEntries) into.value[into.name] = new Map();
  if (repeat === "many" && wanted === WireType.Varint && wireType === WireType.LengthDelimited) {
    // Numbers of a list come packed.
    const end = reader.uint32() + reader.pos;
    while (reader.pos < end) (into.value[into.name] as unknown[]).push(readValue(reader, kind));
    return;
  }
  if (wireType !== wanted) throw new Error(`field ${into.name} has the wrong wire type ${wireType}`);
  if (repeat === "many") (into.value[into.name] as unknown[]).push(readValue(reader, kind));
  else if (repeat === "map")
    readEntry(new BinaryReader(reader.bytes()), kind, into.value[into.name] as Map<string, unknown>);
  else into.value[into.name] = readValue(reader, kind);
}

function readEntry(reader: BinaryReader, kind: Kind, into: Map<string, unknown>): void {
  let key = "";
  let value: unknown = typeof kind === "string" ? emptyScalar(kind) : kind.decode(new Uint8Array());
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === 1 && wireType === WireType.LengthDelimited) key = reader.string();
    else if (number === 2 && wireType === wireTypeOf(kind)) value = readValue(reader, kind);
    else reader.skip(wireType, number);
  }
  into.set(key, value);
}

function readValue(reader: BinaryReader, kind: Kind): unknown {
  if (typeof kind !== "string") return kind.decode(reader.bytes());
  switch (kind) {
    case "latin1": {
      const bytes = reader.bytes();
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
    }
    case "big":
      return BigInt(reader.int64());
    case "int64":
      return Number(reader.int64());
    default:
      return reader[kind]();
  }
}
