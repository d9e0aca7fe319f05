/** Sources of ADD and contexts that lie elsewhere: files over HTTP. */
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { openWebFile } from "../registry/web.ts";

export const isHttpUrl = (text: string): boolean => /^https?:\/\//i.test(text);

/** What is downloaded is told each time so much more has come. */
const progressBytes = 512 * 1024;

export interface Download {
  /** Hex SHA-256. */
  readonly sha256: string;
  readonly etag: string;
  /** ns since the epoch; 0 when the server does not say. */
  readonly modifiedNs: bigint;
  readonly sizeBytes: number;
  readonly contentType: string;
  /** The name that the server gives it; empty when it gives none. */
  readonly fileName: string;
}

/**
 * Downloads a file to `path`. With `etag`, the server may say that it is unchanged: then nothing is written and the
 * answer is undefined.
 */
export async function download(
  url: string,
  path: string,
  options: {
    readonly etag?: string;
    readonly signal: AbortSignal;
    /** Now and then, in bytes; a total of 0 is unknown. */
    readonly onProgress?: (current: number, total: number) => void;
  },
): Promise<Download | undefined> {
  const file = await openWebFile(url, {
    signal: options.signal,
    headers: options.etag ? { "If-None-Match": options.etag } : {},
  });
  if (file.status === 304) {
    file.body.resume();
    return undefined;
  }
  const hash = createHash("sha256");
  let sizeBytes = 0;
  const totalBytes = Number(file.header("content-length")) || 0;
  let toldAt = 0;
  await pipeline(
    file.body,
    async function* (source: AsyncIterable<Uint8Array>) {
      for await (const piece of source) {
        hash.update(piece);
        sizeBytes += piece.length;
        if (sizeBytes === totalBytes || sizeBytes - toldAt >= progressBytes) {
          toldAt = sizeBytes;
          options.onProgress?.(sizeBytes, totalBytes);
        }
        yield piece;
      }
    },
    createWriteStream(path, { mode: 0o600 }),
    { signal: options.signal },
  );
  const modified = Date.parse(file.header("last-modified"));
  return {
    sha256: hash.digest("hex"),
    etag: file.header("etag"),
    modifiedNs: Number.isNaN(modified) ? 0n : BigInt(modified) * 1_000_000n,
    sizeBytes,
    contentType: file.header("content-type"),
    fileName: /filename="?([^";/]+)"?/.exec(file.header("content-disposition"))?.[1] ?? "",
  };
}

/** The last name in a URL's path, as Go's `path.Base` has it; empty when there is none. */
export function urlFileName(url: string): string {
  const path = new URL(url).pathname.replace(/\/+$/, "");
  const name = path.slice(path.lastIndexOf("/") + 1);
  try {
    return decodeURIComponent(name).replace(/[/\0]/g, "");
  } catch {
    return name;
  }
}
