/** Compares an unpacked layer with the tar that it was unpacked from: what a loss of power or a failing disk changed. */
import { createHash } from "node:crypto";
import { closeSync, openSync, readlinkSync, readSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
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
}

const maxDifferences = 20;
const maxSymlinks = 40;
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
  const reader = new TarReader(tar);
  for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
    const parts = entry.name.split("/").filter((part) => part !== "" && part !== ".");
    const base = parts.pop();
    if (base === undefined) continue;
    const parent = resolve(parts, target);
    const at = (name: string): string => (parent === "" ? name : `${parent}/${name}`);
    if (base.startsWith(".wh.")) {
      const name = base.slice(4);
      // What aufs noted for itself, and what hides a whole directory, are no files.
      if (name !== "" && !name.startsWith(".wh.") && !expected.has(at(name)))
        expected.set(at(name), { type: "whiteout", sizeBytes: 0, hash: undefined, linkName: "" });
      continue;
    }
    const path = at(base);
    if (entry.type !== "directory")
      for (const other of expected.keys()) if (other.startsWith(`${path}/`)) expected.delete(other);
    const hash = entry.type === "file" && entry.sparse === undefined ? await hashOf(reader) : undefined;
    expected.set(path, { type: entry.type, sizeBytes: entry.sizeBytes, hash, linkName: entry.linkName });
  }
  return expected;
}

async function hashOf(reader: TarReader): Promise<string> {
  const hash = createHash("sha256");
  for (let chunk = await reader.read(); chunk !== undefined; chunk = await reader.read()) hash.update(chunk);
  return hash.digest("hex");
}

/** The directory that `parts` name, links followed as the unpacking did. */
function resolve(parts: readonly string[], { root, lowers = [] }: UnpackTarget): string {
  const resolved: string[] = [];
  const pending = parts.toReversed();
  for (let links = 0; pending.length > 0;) {
    const part = pending.pop()!;
    if (part === "" || part === ".") continue;
    if (part === "..") {
      resolved.pop();
      continue;
    }
    resolved.push(part);
    const there = findInLayers([root, ...lowers], resolved.join("/"));
    if (there?.stat.isSymbolicLink() !== true || links >= maxSymlinks) continue;
    links += 1;
    const target = readlinkSync(bytes(there.path), { encoding: "latin1" });
    resolved.pop();
    if (target.startsWith("/")) resolved.length = 0;
    pending.push(...target.split("/").toReversed());
  }
  return resolved.join("/");
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
