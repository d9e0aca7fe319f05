/** Files that are in a registry (`oci://REPOSITORY`): they are brought to a directory here before they are read. */
import { ComposeError } from "../errors.ts";
import { noteAnswer } from "./disk.ts";

/** What a file that is in a registry begins with. */
export const remotePrefix = "oci://";

/** A file has to be brought here first; then everything is read again. */
export class RemoteNeededError extends Error {
  override readonly name = "RemoteNeededError";
  readonly path: string;

  constructor(path: string) {
    super(`${path} is not here`);
    this.path = path;
  }
}

/** Where files of registries are by now: their first file, by `oci://…`. */
export type RemoteFiles = ReadonlyMap<string, string>;

/** True for a file of a registry. */
export function isRemote(path: string): boolean {
  return path.startsWith(remotePrefix);
}

/** The file here of one in a registry. Throws {@link RemoteNeededError} while it is not here. */
export function localFile(path: string, remotes: RemoteFiles | undefined): string {
  // What a tag means may change at any time.
  noteAnswer(path, "read once");
  const file = remotes?.get(path);
  if (file !== undefined) return file;
  if (remotes === undefined) throw new ComposeError(`${path}: files of registries cannot be had here`);
  throw new RemoteNeededError(path);
}
