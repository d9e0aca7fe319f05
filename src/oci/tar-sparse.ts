/** Files with holes, in GNU tar's four formats (GNU tar manual, appendix "Storing Sparse Files"). */
import { invalidArgument } from "../base/errors.ts";
import { paxInteger, type Pax } from "./tar-pax.ts";

export interface SparsePiece {
  readonly offset: number;
  readonly sizeBytes: number;
}

export interface SparseMap {
  /** The file's length with its holes. */
  readonly realSizeBytes: number;
  /** In rising order; their sizes add up to the data in the archive. */
  readonly pieces: readonly SparsePiece[];
}

const malformed = (): Error => invalidArgument("malformed tar archive: a sparse file's map is wrong");

function checked(map: SparseMap, dataBytes: number): SparseMap {
  let end = 0;
  let total = 0;
  for (const piece of map.pieces) {
    const isNumber = Number.isSafeInteger(piece.offset) && Number.isSafeInteger(piece.sizeBytes);
    if (!isNumber || piece.offset < end || piece.sizeBytes < 0) throw malformed();
    end = piece.offset + piece.sizeBytes;
    total += piece.sizeBytes;
  }
  if (!Number.isSafeInteger(map.realSizeBytes) || end > map.realSizeBytes || total !== dataBytes)
    throw malformed();
  return map;
}

function pairs(numbers: readonly number[]): SparsePiece[] {
  if (numbers.length % 2 !== 0) throw malformed();
  const pieces: SparsePiece[] = [];
  for (let index = 0; index < numbers.length; index += 2)
    pieces.push({ offset: numbers[index]!, sizeBytes: numbers[index + 1]! });
  return pieces;
}

function wholeNumber(text: string): number {
  if (!/^\d{1,16}$/.test(text)) throw malformed();
  return Number(text);
}

function headerNumber(block: Buffer, offset: number): number {
  const bytes = block.subarray(offset, offset + 12);
  if ((bytes[0]! & 0x80) !== 0) return Number(bytes.readBigUInt64BE(4));
  const text = bytes.toString("latin1").replace(/\0.*$/s, "").trim();
  if (text === "") return 0;
  if (!/^[0-7]+$/.test(text)) throw malformed();
  return Number.parseInt(text, 8);
}

/** Old GNU format: four pieces in the header (type `S`), 21 in each block that follows it. */
export function parseOldSparse(blocks: readonly Buffer[], dataBytes: number): SparseMap {
  const numbers: number[] = [];
  blocks.forEach((block, index) => {
    const start = index === 0 ? 386 : 0;
    const count = index === 0 ? 4 : 21;
    for (let piece = 0; piece < count; piece += 1) {
      const at = start + piece * 24;
      if (block[at] === 0) break;
      numbers.push(headerNumber(block, at), headerNumber(block, at + 12));
    }
  });
  return checked({ realSizeBytes: headerNumber(blocks[0]!, 483), pieces: pairs(numbers) }, dataBytes);
}

/** Formats 0.0 and 0.1: the map is in pax records. Undefined for a file without holes. */
export function parsePaxSparse(pax: Pax, dataBytes: number): SparseMap | undefined {
  const list = pax.records.get("GNU.sparse.map");
  if (list === undefined && pax.sparsePieces.length === 0) return undefined;
  const numbers = (list === undefined ? pax.sparsePieces : list.split(",")).map(wholeNumber);
  return checked(
    { realSizeBytes: paxInteger(pax, "GNU.sparse.size") ?? 0, pieces: pairs(numbers) },
    dataBytes,
  );
}

/** Format 1.0: the map stands before the data as decimal lines, count first. How many lines that are, from the first. */
export function sparseMapLines(text: string): number {
  return 1 + 2 * wholeNumber(text.slice(0, text.indexOf("\n")));
}

/** The map of format 1.0 from a text that holds all its lines. */
export function parseSparseMap(text: string, pax: Pax, dataBytes: number): SparseMap {
  const lines = text.split("\n", sparseMapLines(text));
  const pieces = pairs(lines.slice(1).map(wholeNumber));
  return checked({ realSizeBytes: paxInteger(pax, "GNU.sparse.realsize") ?? 0, pieces }, dataBytes);
}
