/** Small tars made in memory: files that are put into a container, and Dockerfiles that are no file. */
import { byteStringOf } from "../oci/tar-reader.ts";
import { tarEnd, tarHeader, tarPadding } from "../oci/tar-writer.ts";

export interface TarFile {
  /** Without a slash at the start. */
  readonly path: string;
  readonly content: Buffer;
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
}

/** One file as it stands in a tar. */
export function tarFile({ path, content, mode, uid = 0, gid = 0 }: TarFile): Buffer {
  const header = tarHeader({
    name: byteStringOf(path),
    type: "file",
    mode,
    uid,
    gid,
    timeNs: BigInt(Math.trunc(Date.now() / 1000)) * 1_000_000_000n,
    sizeBytes: content.length,
  });
  return Buffer.concat([header, content, tarPadding(content.length)]);
}

/** A whole tar. */
export async function* tarOf(files: readonly TarFile[]): AsyncGenerator<Buffer, void> {
  for (const file of files) yield tarFile(file);
  yield tarEnd();
}

/** A tar with a directory and those around it. */
export async function* tarDirectory(path: string): AsyncGenerator<Buffer, void> {
  const parts = path.split("/");
  for (let length = 1; length <= parts.length; length++) {
    const name = `${parts.slice(0, length).join("/")}/`;
    const timeNs = BigInt(Math.trunc(Date.now() / 1000)) * 1_000_000_000n;
    yield tarHeader({ name: byteStringOf(name), type: "directory", mode: 0o755, uid: 0, gid: 0, timeNs });
  }
  yield tarEnd();
}
