import { invalidArgument } from "../base/errors.ts";

/** What the daemon says of itself in headers. Versions of the API are `major.minor`. */
export interface ServerVersion {
  /** The engine's own version. */
  readonly version: string;
  readonly apiVersion?: string;
  readonly minApiVersion?: string;
}

/** Newest and oldest API version that is served. Every version of Docker's API so far has major number 1. */
export const newestApiVersion = "1.55";
const oldestApiVersion = "1.24";

export interface VersionedPath {
  /** `1.41` of `/v1.41/info`; undefined for a path without version. */
  readonly version: string | undefined;
  readonly path: string;
}

/** Splits `/v1.41/info` in `1.41` and `/info`. */
export function splitVersion(path: string): VersionedPath {
  const match = /^\/v([0-9.]+)(\/.*)$/.exec(path);
  return match === null ? { version: undefined, path } : { version: match[1]!, path: match[2]! };
}

/** The range of versions that a daemon serves, and the rule for a client's choice. */
export class VersionRange {
  readonly newest: string;
  readonly oldest: string;

  constructor(versions: ServerVersion) {
    this.newest = versions.apiVersion ?? newestApiVersion;
    this.oldest = versions.minApiVersion ?? oldestApiVersion;
  }

  /**
   * The minor number of the version to answer in: 41 for `1.41`, the newest without a version. Throws when the client's
   * version is out of range.
   */
  minorOf(version: string | undefined): number {
    if (version === undefined) return parts(this.newest)[1];
    if (compare(version, this.newest) > 0) {
      throw invalidArgument(
        `client version ${version} is too new. Maximum supported API version is ${this.newest}`,
      );
    }
    if (compare(version, this.oldest) < 0) {
      const message =
        `client version ${version} is too old. Minimum supported API version is ${this.oldest}, ` +
        `please upgrade your client to a newer version`;
      throw invalidArgument(message);
    }
    return parts(version)[1];
  }
}

function parts(version: string): [major: number, minor: number] {
  const [major = "", minor = ""] = version.split(".");
  return [Number(major), Number(minor)];
}

function compare(a: string, b: string): number {
  const [majorA, minorA] = parts(a);
  const [majorB, minorB] = parts(b);
  return majorA === majorB ? minorA - minorB : majorA - majorB;
}
