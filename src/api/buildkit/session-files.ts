/** Directories that a client offers, and places that it takes results at (BuildKit, session/filesync). */
import type { Writable } from "node:stream";
import { Writable as WritableStream } from "node:stream";
import { EngineError, errorText } from "../../base/errors.ts";
import type { CallOptions, ClientCall } from "../../base/grpc/client.ts";
import { MemoryBudget } from "../../base/memory-budget.ts";
import type { ContextFile, FileListing, RemoteDirectory } from "../../build/build.ts";
import { bytesMessage } from "../../wire/buildkit/control.ts";
import {
  fileSendDiffCopy,
  fileSyncDiffCopy,
  fileSyncKeys,
  goMode,
  packet,
  unixMode,
} from "../../wire/buildkit/filesync.ts";
import { FileReceiver, type Stat, sendFiles } from "../../wire/buildkit/transfer.ts";
import type { ClientSession } from "./client-session.ts";

const symlinkType = 0o120000;
const typeMask = 0o170000;
/** Clients refuse messages of 4 MB. */
const chunkBytes = 1024 * 1024;

const diffCopy = { path: fileSyncDiffCopy, request: packet, response: packet };
const sendPackets = { path: fileSendDiffCopy, request: packet, response: packet };
const sendBytes = { path: fileSendDiffCopy, request: bytesMessage, response: bytesMessage };

/** A directory of the client's by the name that it has in the session (`context`, `dockerfile`, …). */
export function remoteDirectory(session: ClientSession, name: string): RemoteDirectory {
  return {
    kind: "remote",
    name,
    sharedKey: session.sharedKey === "" ? `${session.id}:${name}` : `${session.sharedKey}:${name}`,
    async open({ include, exclude, followPaths, signal }) {
      if (!session.serves(fileSyncDiffCopy))
        throw new EngineError("invalidArgument", "the client offers no local directories");
      const metadata = new Map(
        Object.entries({
          [fileSyncKeys.directory]: [name],
          [fileSyncKeys.include]: include,
          [fileSyncKeys.exclude]: exclude,
          [fileSyncKeys.followPaths]: followPaths,
        }).flatMap(([key, values]) => headerValues(key, values)),
      );
      return new RemoteListing(session, { metadata, signal });
    },
  };
}

/** Values that are not ASCII go as in a query, with a second header that says so. */
function headerValues(key: string, values: readonly string[]): [string, readonly string[]][] {
  if (values.length === 0) return [];
  if (values.every((value) => /^[\x20-\x7e]*$/.test(value))) return [[key, values]];
  const encoded = values.map((value) => encodeURIComponent(value).replaceAll("%20", "+"));
  return [
    [key, encoded],
    [`${key}-encoded`, ["1"]],
  ];
}

class RemoteListing implements FileListing {
  readonly files: AsyncIterable<ContextFile>;
  readonly #ids = new WeakMap<ContextFile, number>();
  readonly #receiver: FileReceiver;
  readonly #budget = new MemoryBudget("the build context has too many files");
  readonly #call: Pick<ClientCall<unknown, unknown>, "cancel" | "end" | "outcome">;

  constructor(session: ClientSession, options: CallOptions) {
    const call = session.connection.open(diffCopy, options);
    this.#call = call;
    // The list comes as fast as the client sends it, whatever is done with it meanwhile.
    this.#receiver = new FileReceiver(call, ({ path, linkname, xattrs }) => {
      let textBytes = path.length + linkname.length;
      for (const [name, value] of xattrs) textBytes += name.length + value.length;
      this.#budget.take(textBytes);
    });
    this.files = this.#list();
  }

  async *#list(): AsyncGenerator<ContextFile> {
    try {
      for await (const { id, stat } of this.#receiver.list()) {
        const file = contextFile(stat);
        this.#ids.set(file, id);
        yield file;
      }
    } catch (error) {
      throw await this.#fault(error);
    }
  }

  async *read(file: ContextFile): AsyncGenerator<Uint8Array> {
    const id = this.#ids.get(file);
    if (id === undefined) throw new Error(`${file.path} is not of this listing`);
    try {
      yield* this.#receiver.read(id);
    } catch (error) {
      throw await this.#fault(error);
    }
  }

  /** What the client says of the call's end tells more than the end of its packets. */
  async #fault(error: unknown): Promise<Error> {
    this.#call.cancel();
    const outcome = await this.#call.outcome;
    const message = outcome !== undefined && outcome.code !== 1 ? outcome.message : errorText(error);
    return new EngineError("unavailable", `cannot read the client's files: ${message}`, { cause: error });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#receiver.finish();
      this.#call.end();
    } catch {
      // It failed before, and was told then.
      this.#call.cancel();
    } finally {
      this.#budget[Symbol.dispose]();
    }
  }
}

function contextFile(stat: Stat): ContextFile {
  const mode = unixMode(stat.mode);
  const isLink = (mode & typeMask) === symlinkType;
  const isDevice = [0o020000, 0o060000].includes(mode & typeMask);
  return {
    path: stat.path,
    mode,
    uid: stat.uid,
    gid: stat.gid,
    sizeBytes: (mode & typeMask) === 0o100000 ? stat.size : 0,
    timeNs: stat.modTime,
    ...(isLink ? { linkTarget: stat.linkname } : {}),
    ...(!isLink && stat.linkname !== "" ? { hardLinkTo: stat.linkname } : {}),
    ...(isDevice ? { device: { major: stat.devmajor, minor: stat.devminor } } : {}),
    ...(stat.xattrs.size > 0
      ? { xattrs: new Map([...stat.xattrs].map(([key, value]) => [key, Buffer.from(value)] as const)) }
      : {}),
  };
}

function needsReceiver(session: ClientSession): void {
  if (!session.serves(fileSendDiffCopy))
    throw new EngineError("invalidArgument", "the client takes no files: it offered no place for the result");
}

/** Sends a tree of files to the client's exporter of that number (`--output type=local`). */
export async function sendListing(
  session: ClientSession,
  exporter: number,
  listing: FileListing,
  signal: AbortSignal,
): Promise<void> {
  needsReceiver(session);
  const metadata = new Map([[fileSyncKeys.exporter, [String(exporter)]]]);
  const call = session.connection.open(sendPackets, { metadata, signal });
  async function* stats(): AsyncGenerator<{ stat: Partial<Stat>; file: ContextFile }> {
    for await (const file of listing.files) yield { stat: statOf(file), file };
  }
  try {
    await sendFiles(call, stats(), ({ file }) => listing.read(file));
  } catch (error) {
    call.cancel();
    const outcome = await call.outcome;
    throw new EngineError("unavailable", `cannot send the result: ${outcome?.message ?? errorText(error)}`, {
      cause: error,
    });
  }
  call.end();
  await call.done();
}

function statOf(file: ContextFile): Partial<Stat> {
  return {
    path: file.path,
    mode: goMode(file.mode),
    uid: file.uid,
    gid: file.gid,
    size: file.sizeBytes,
    modTime: file.timeNs,
    linkname: file.linkTarget ?? file.hardLinkTo ?? "",
    devmajor: file.device?.major ?? 0,
    devminor: file.device?.minor ?? 0,
    xattrs: file.xattrs ?? new Map(),
  };
}

/** A stream to the client's exporter of that number (`--output type=tar,dest=…`). */
export function openOutput(
  session: ClientSession,
  exporter: number,
  about: { readonly metadata: ReadonlyMap<string, string>; readonly signal: AbortSignal },
): Writable {
  needsReceiver(session);
  const metadata = new Map([
    [fileSyncKeys.exporter, [String(exporter)]],
    ...[...about.metadata].map(([key, value]): [string, string[]] => [
      `${fileSyncKeys.exporterMetadata}${key}`.toLowerCase(),
      [value],
    ]),
  ]);
  const call = session.connection.open(sendBytes, { metadata, signal: about.signal });
  const send = async (chunk: Buffer): Promise<void> => {
    for (let at = 0; at < chunk.length; at += chunkBytes) {
      call.send({ data: chunk.subarray(at, at + chunkBytes) });
      if (call.isFull) await call.drained();
    }
    if (call.signal.aborted) await call.done();
  };
  return new WritableStream({
    write: (chunk: Buffer, _encoding, callback) => settle(send(chunk), callback),
    final: (callback) => {
      call.end();
      settle(call.done(), callback);
    },
    destroy: (error, callback) => {
      if (error !== null) call.cancel();
      callback(error);
    },
  });
}

/** A stream's callback for the end of a promise. */
function settle(work: Promise<void>, callback: (error?: Error | null) => void): void {
  void (async () => {
    try {
      await work;
      callback();
    } catch (error) {
      callback(error as Error);
    }
  })();
}
