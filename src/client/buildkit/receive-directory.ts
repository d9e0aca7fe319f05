/** Writes a tree of files that a build made into a directory (`--output type=local`). */
import {
  chmodSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  lutimesSync,
  writeSync,
} from "node:fs";
import { EngineError } from "../../base/errors.ts";
import { unixMode } from "../../wire/buildkit/filesync.ts";
import { FileReceiver, type PacketCall, type Stat } from "../../wire/buildkit/transfer.ts";

const typeMask = 0o170000;
const parallelFiles = 16;

/** Files that are there already are replaced, others stay. Throws when the builder breaks off or a path leads outside. */
export async function receiveDirectory(call: PacketCall, directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const receiver = new FileReceiver(call);
  const directories: Stat[] = [];
  const writing = new Set<Promise<void>>();
  const later: Stat[] = [];
  for await (const { id, stat } of receiver.list()) {
    checkPath(stat.path);
    const path = place(directory, stat.path);
    const type = unixMode(stat.mode) & typeMask;
    if (type === 0o040000) {
      makeDirectory(path);
      directories.push(stat);
    } else if (type === 0o120000) {
      rmSync(path, { force: true, recursive: true });
      symlinkSync(Buffer.from(stat.linkname, "latin1"), path);
      setTimes(path, stat);
    } else if (type === 0o100000 && stat.linkname !== "") {
      later.push(stat);
    } else if (type === 0o100000) {
      if (writing.size >= parallelFiles) await Promise.race(writing);
      const work = writeFile(path, stat, receiver.read(id)).finally(() => writing.delete(work));
      // Thrown where all of them are waited for.
      work.catch(() => {});
      writing.add(work);
    }
  }
  await Promise.all(writing);
  for (const stat of later) {
    checkPath(stat.linkname);
    rmSync(place(directory, stat.path), { force: true });
    linkSync(place(directory, stat.linkname), place(directory, stat.path));
  }
  // Last: writing into a directory changes its time, and its mode may forbid writing.
  for (const stat of directories.toReversed()) {
    const path = place(directory, stat.path);
    chmodSync(path, unixMode(stat.mode) & 0o7777);
    setTimes(path, stat);
  }
  await receiver.finish();
}

function place(directory: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(path, "latin1")]);
}

/** A builder is not trusted with the file system: its paths stay below the directory. */
function checkPath(path: string): void {
  if (
    path === "" ||
    path.startsWith("/") ||
    path.split("/").some((part) => part === ".." || part === "" || part === ".")
  )
    throw new EngineError(
      "invalidArgument",
      `the builder sent the path ${JSON.stringify(path)}, which is no path in a directory`,
    );
}

function makeDirectory(path: Buffer): void {
  // A link to a directory would lead out of ours.
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory() === true) return;
  if (found !== undefined) rmSync(path, { force: true });
  mkdirSync(path);
}

async function writeFile(path: Buffer, stat: Stat, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  rmSync(path, { force: true, recursive: true });
  const fd = openSync(path, "wx", 0o600);
  let received = 0;
  try {
    for await (const chunk of bytes) {
      for (let at = 0; at < chunk.length;) at += writeSync(fd, chunk, at);
      received += chunk.length;
    }
  } finally {
    closeSync(fd);
  }
  if (received !== stat.size)
    throw new EngineError("unavailable", `${stat.path} has ${stat.size} bytes, but ${received} were sent`);
  chmodSync(path, unixMode(stat.mode) & 0o7777);
  setTimes(path, stat);
}

function setTimes(path: Buffer, { modTime }: Stat): void {
  const seconds = Number(modTime) / 1e9;
  lutimesSync(path, seconds, seconds);
}
