/**
 * Build graphs in BuildKit's own form (solver/pb/ops.proto), as far as gantry reads them: a source alone, or an archive from
 * an address that is unpacked. Clients make such graphs to read a file, and to name a context.
 */
import { digestOf } from "../../oci/digest.ts";
import { type Decoded, type Encodable, many, map, message, one } from "../protobuf.ts";
import type { definition } from "./common.ts";

const input = message({ digest: one(1, "string"), index: one(2, "int64") });
const sourceOp = message({ identifier: one(1, "string"), attrs: map(2, "string") });
const copyAction = message({
  src: one(1, "string"),
  dest: one(2, "string"),
  attemptUnpack: one(7, "bool"),
});
const fileOp = message({ actions: many(2, message({ copy: one(4, copyAction) })) });
const op = message({
  inputs: many(1, input),
  exec: one(2, "bytes"),
  source: one(3, sourceOp),
  file: one(4, fileOp),
  build: one(5, "bytes"),
  merge: one(6, "bytes"),
  diff: one(7, "bytes"),
});

export interface GraphSource {
  /** `https://…`, `git://…`, `docker-image://…`, `local://…`. */
  readonly identifier: string;
  readonly attributes: ReadonlyMap<string, string>;
  /** The archive that the source is is unpacked. */
  readonly isUnpacked: boolean;
}

/** The source that a graph consists of; undefined for one that does more. */
export function graphSource({ def }: Decoded<typeof definition>): GraphSource | undefined {
  const ops = def.map((bytes) => op.decode(bytes));
  const sources = ops.flatMap(({ source }) => source ?? []);
  const files = ops.flatMap(({ file }) => file?.actions ?? []);
  const others = ops.some(({ exec, build, merge, diff }) =>
    [exec, build, merge, diff].some(({ length }) => length > 0),
  );
  const [source] = sources;
  if (source === undefined || sources.length > 1 || others || files.length > 1) return undefined;
  if (files.length === 1 && files[0]!.copy?.attemptUnpack !== true) return undefined;
  return { identifier: source.identifier, attributes: source.attrs, isUnpacked: files.length === 1 };
}

const nothing = new Uint8Array();

/** A graph that is one source and nothing else. */
export function sourceGraph(identifier: string): Encodable<typeof definition> {
  const source = op.encode({ source: { identifier } });
  const digest = digestOf(source);
  const end = op.encode({ inputs: [{ digest }] });
  // Clients take no graph without metadata of each operation, which may say nothing.
  return { def: [source, end], metadata: new Map([source, end].map((bytes) => [digestOf(bytes), nothing])) };
}
