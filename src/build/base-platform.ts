/** Base images of another platform than a stage is for: an image without an index is whatever it is (BuildKit, dockerfile2llb). */
import type { ImageConfigFile, Platform } from "../oci/image-spec.ts";
import { formatPlatform, normalizePlatform, platformOf } from "../oci/platform.ts";
import type { BaseFacts } from "./dockerfile/check.ts";
import { isRunnable } from "./emulators.ts";

/** What a FROM is for. */
export interface AskedPlatform {
  readonly platform: Platform;
  /** By `--platform`, of the build or of the FROM; else it is this machine's. */
  readonly isAsked: boolean;
}

/** The platform of a stage on an image: where nobody has asked for another one, the image's, if it runs here. */
export function stagePlatform(base: ImageConfigFile, { platform, isAsked }: AskedPlatform): Platform {
  const own = platformOf(base);
  return !isAsked && own !== undefined && isRunnable(own) ? own : platform;
}

/** What the build checks want to know of a base image; contexts may be for any platform. */
export function factsOf(base: ImageConfigFile, asked: AskedPlatform, isImage: boolean): BaseFacts {
  const known = { env: base.config?.Env ?? [], hasShell: (base.config?.Shell ?? []).length > 0 };
  const expected = stagePlatform(base, asked);
  const actual = platformOf(base);
  const isOther =
    actual !== undefined && (actual.os !== expected.os || actual.architecture !== expected.architecture);
  // An image without layers has nothing that could be for a platform.
  if (!isImage || !isOther || base.rootfs.diff_ids.length === 0) return known;
  return {
    ...known,
    mismatch: { expected: formatPlatform(normalizePlatform(expected)), actual: formatPlatform(actual) },
  };
}
