/** Receiving a client's directory by its listing: what is known already is taken over, the rest is asked for. */
import { invalidArgument } from "../../base/errors.ts";
import type { ContextFile, FileListing } from "../build.ts";
import type { Pack, PackEntry } from "./pack.ts";
import { typeOf } from "./root-tree.ts";

/** Files of this size and more are received by themselves. */
const largeFileBytes = 4 * 1024 * 1024;
/** So many small files are asked for at the same time. */
const parallelFiles = 64;

export interface ReceiveProgress {
  (receivedBytes: number): void;
}

interface ReceiveOptions {
  readonly pack: Pack;
  /** What was received the last time, by path; its bytes are in the pack. */
  readonly known: ReadonlyMap<string, PackEntry>;
  readonly signal: AbortSignal;
  readonly onProgress: ReceiveProgress;
}

/** Takes over what is known and asks for the rest. Returns how many bytes were sent. */
export async function receiveListing(listing: FileListing, options: ReceiveOptions): Promise<number> {
  const { pack, known, signal } = options;
  const receiver = new FileReceiver(listing, pack, options.onProgress);
  const links: ContextFile[] = [];
  try {
    for await (const file of listing.files) {
      signal.throwIfAborted();
      receiver.throwIfFailed();
      const entry = entryOf(file);
      if (entry === undefined) continue;
      const before = known.get(entry.path);
      if (file.hardLinkTo !== undefined && file.hardLinkTo !== "") links.push(file);
      else if (entry.type !== "file") pack.add(entry);
      else if (before !== undefined && isUnchanged(before, entry))
        pack.add({ ...entry, offset: before.offset, sha256: before.sha256 });
      else if (entry.sizeBytes >= largeFileBytes) await receiver.receiveLarge(file, entry);
      else await receiver.queue(file, entry);
    }
  } finally {
    // The pack is closed when this has failed: nobody may still write to it.
    await receiver.settled();
  }
  receiver.throwIfFailed();
  for (const link of links) addLink(pack, link);
  return receiver.receivedBytes;
}

type NewEntry = Omit<PackEntry, "offset" | "sha256">;

/** Asks for files and puts them into the pack: small ones many at a time, each whole, large ones alone, piece by piece. */
class FileReceiver {
  readonly #listing: FileListing;
  readonly #pack: Pack;
  readonly #onProgress: ReceiveProgress;
  readonly #running = new Set<Promise<void>>();
  #failure: unknown;
  #receivedBytes = 0;

  constructor(listing: FileListing, pack: Pack, onProgress: ReceiveProgress) {
    this.#listing = listing;
    this.#pack = pack;
    this.#onProgress = onProgress;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Throws what the first of the queued files that failed met with. */
  throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Resolves when nothing is queued any more, also after failures. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  /** Returns when there is room for one more; a failure is told by {@link throwIfFailed}. */
  async queue(file: ContextFile, entry: NewEntry): Promise<void> {
    const work: Promise<void> = this.#receiveSmall(file, entry)
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => this.#running.delete(work));
    this.#running.add(work);
    if (this.#running.size >= parallelFiles) await Promise.race(this.#running);
  }

  async #receiveSmall(file: ContextFile, entry: NewEntry): Promise<void> {
    const pieces: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const piece of this.#listing.read(file)) {
      sizeBytes += piece.length;
      // A file may grow while it is sent, but not out of what is kept in memory.
      if (sizeBytes > largeFileBytes)
        throw invalidArgument(
          `${file.path} is larger than the client said: ${entry.sizeBytes} bytes; it must not change while it is sent`,
        );
      pieces.push(piece);
      this.#receivedBytes += piece.length;
    }
    this.#pack.commitFile(entry, pieces);
    this.#onProgress(this.#receivedBytes);
  }

  async receiveLarge(file: ContextFile, entry: NewEntry): Promise<void> {
    await this.settled();
    const pieces = this.#listing.read(file)[Symbol.asyncIterator]();
    await this.#pack.addFile(entry, async () => {
      const { value, done } = await pieces.next();
      if (done === true) return undefined;
      this.#receivedBytes += value.length;
      this.#onProgress(this.#receivedBytes);
      return value;
    });
  }
}

/** Undefined for what has no place in a context: sockets and the like. */
function entryOf(file: ContextFile): NewEntry | undefined {
  const type = typeOf(file.mode);
  if (type === undefined) return undefined;
  return {
    path: file.path,
    type,
    mode: file.mode & 0o7777,
    uid: file.uid,
    gid: file.gid,
    sizeBytes: type === "file" ? file.sizeBytes : 0,
    timeNs: file.timeNs,
    linkTarget: file.linkTarget ?? "",
    device: file.device ?? { major: 0, minor: 0 },
    xattrs: file.xattrs ?? new Map(),
    identity: undefined,
  };
}

function isUnchanged(known: PackEntry, entry: NewEntry): boolean {
  return (
    known.type === "file" &&
    known.sizeBytes === entry.sizeBytes &&
    known.timeNs === entry.timeNs &&
    known.mode === entry.mode
  );
}

/** Both names of a hard link get the same identity. A link to what is not in the context is left out. */
function addLink(pack: Pack, link: ContextFile): void {
  const target = pack.stat(link.hardLinkTo!);
  if (target === undefined) return;
  const identity = target.identity ?? `link:${target.path}`;
  pack.add({ ...target, identity });
  pack.add({ ...target, path: link.path, identity });
}
