/** Compares an unpacked layer with the tar that it was unpacked from: what a loss of power or a failing disk changed. */
import { createHash } from "node:crypto";
import { closeSync, openSync, readlinkSync, readSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { followLinks } from "../base/follow-links.ts";
import { type TarEntry, TarReader, textOf } from "../oci/tar-reader.ts";
import type { UnpackTarget } from "./apply.ts";
import { bytes, findInLayers, lookup } from "./merged-view.ts";

/** What an entry makes. */
interface Expected {
  readonly type: TarEntry["type"] | "whiteout";
  readonly sizeBytes: number;
  /** SHA-256 of a file's content; undefined for one with holes. */
  readonly hash: string | undefined;
  readonly linkName: string;
  /** Its place among the tar's entries. */
  readonly order: number;
}

const maxDifferences = 20;
/** How long the event loop may stand still, in ms. */
const sliceMs = 10;

/** Sentences that say what differs, not more than twenty; empty when the layer is as its tar says. */
export async function verifyLayer(tar: AsyncIterable<Uint8Array>, target: UnpackTarget): Promise<string[]> {
  const expected = await readExpected(tar, target);
  const differences: string[] = [];
  let sliceStart = performance.now();
  for (const [path, entry] of expected) {
    const difference =
      entry.type === "whiteout" ? compareDeleted(path, target) : compare(`${target.root}/${path}`, entry);
    if (difference !== undefined) differences.push(`${textOf(path)} ${difference}`);
    if (differences.length >= maxDifferences) break;
    if (performance.now() - sliceStart > sliceMs) {
      await setImmediate();
      sliceStart = performance.now();
    }
  }
  return differences;
}

/** By path relative to the root; the last entry of a path is the one that counts. */
async function readExpected(
  tar: AsyncIterable<Uint8Array>,
  target: UnpackTarget,
): Promise<Map<string, Expected>> {
  const expected = new Map<string, Expected>();
  /** Where what is no directory came last, by its order: what was below that path before is gone. */
  const replacedAt = new Map<string, number>();
  const reader = new TarReader(tar);
  let order = 0;
  for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
    order += 1;
    const parts = entry.name.split("/").filter((part) => part !== "" && part !== ".");
    const base = parts.pop();
    if (base === undefined) continue;
    const parent = resolve(parts, target);
    const at = (name: string): string => (parent === "" ? name : `${parent}/${name}`);
    if (base.startsWith(".wh.")) {
      const name = base.slice(4);
      // What aufs noted for itself, and what hides a whole directory, are no files.
      if (name !== "" && !name.startsWith(".wh.") && !expected.has(at(name)))
        expected.set(at(name), { type: "whiteout", sizeBytes: 0, hash: undefined, linkName: "", order });
      continue;
    }
    const path = at(base);
    if (entry.type !== "directory") replacedAt.set(path, order);
    const hash = entry.type === "file" && entry.sparse === undefined ? await hashOf(reader) : undefined;
    const { type, sizeBytes, linkName } = entry;
    expected.set(path, { type, sizeBytes, hash, linkName, order });
  }
  for (const [path, entry] of expected) if (isReplaced(path, entry.order, replacedAt)) expected.delete(path);
  return expected;
}

/** Whether one of the directories above `path` became something else after the entry with that order. */
function isReplaced(path: string, order: number, replacedAt: ReadonlyMap<string, number>): boolean {
  for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1))
    if ((replacedAt.get(path.slice(0, end)) ?? 0) > order) return true;
  return false;
}

async function hashOf(reader: TarReader): Promise<string> {
  const hash = createHash("sha256");
  for (let chunk = await reader.read(); chunk !== undefined; chunk = await reader.read()) hash.update(chunk);
  return hash.digest("hex");
}

/** The directory that `parts` name, links followed as the unpacking did. */
function resolve(parts: readonly string[], { root, lowers = [] }: UnpackTarget): string {
  const resolved = followLinks(parts, (at) => {
    const there = findInLayers([root, ...lowers], at);
    return there?.stat.isSymbolicLink() === true
      ? readlinkSync(bytes(there.path), { encoding: "latin1" })
      : undefined;
  });
  // Nothing was unpacked through a circle of links: a failing disk made it, and what is below it is missing.
  return (resolved ?? parts).join("/");
}

/** What the layer deletes shows no more of what is below, by its own mark or by that of a directory above it. */
function compareDeleted(path: string, { root, form, lowers = [] }: UnpackTarget): string | undefined {
  const there = form === "merged" ? lookup(`${root}/${path}`) : findInLayers([root, ...lowers], path)?.path;
  const isBelow = typeof there === "string" && !there.startsWith(`${root}/`);
  return there === undefined || (form === "overlay" && !isBelow)
    ? undefined
    : "is there, though the layer deletes it";
}

function compare(path: string, expected: Expected): string | undefined {
  const stat = lookup(path);
  if (stat === undefined) return "is missing";
  switch (expected.type) {
    case "file":
      if (!stat.isFile()) return "is no file";
      if (Number(stat.size) !== expected.sizeBytes)
        return `has ${stat.size} bytes instead of ${expected.sizeBytes}`;
      return expected.hash === undefined || hashOfFile(path) === expected.hash
        ? undefined
        : "has other bytes than the layer's tar";
    case "directory":
      return stat.isDirectory() ? undefined : "is no directory";
    case "symlink":
      if (!stat.isSymbolicLink()) return "is no symbolic link";
      return readlinkSync(bytes(path), { encoding: "latin1" }) === expected.linkName
        ? undefined
        : "leads elsewhere";
    case "link":
      return stat.isDirectory() ? "is a directory" : undefined;
    case "character":
      return stat.isCharacterDevice() ? undefined : "is no character device";
    case "block":
      return stat.isBlockDevice() ? undefined : "is no block device";
    case "fifo":
      return stat.isFIFO() ? undefined : "is no fifo";
    case "whiteout":
      return undefined;
  }
}

function hashOfFile(path: string): string {
  const hash = createHash("sha256");
  const piece = Buffer.allocUnsafe(256 * 1024);
  let fd: number | undefined;
  try {
    fd = openSync(bytes(path), "r");
    for (let length = readSync(fd, piece); length > 0; length = readSync(fd, piece))
      hash.update(piece.subarray(0, length));
    return hash.digest("hex");
  } catch {
    // A disk that fails: other bytes it is.
    return "";
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
