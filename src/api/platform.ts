import { invalidArgument } from "../base/errors.ts";
import type { Platform } from "../oci/image-spec.ts";
import { normalizePlatform } from "../oci/platform.ts";

/** A platform as query parameters have it since API 1.46: `{"os":"linux","architecture":"arm64"}`. Throws `invalidArgument`. */
export function parsePlatformJson(text: string): Platform {
  try {
    const { os, architecture, variant } = JSON.parse(text) as Record<string, unknown>;
    if (typeof os === "string" && os !== "" && typeof architecture === "string" && architecture !== "")
      return normalizePlatform({
        os,
        architecture,
        ...(typeof variant === "string" && variant !== "" ? { variant } : {}),
      });
  } catch {
    // Said below.
  }
  throw invalidArgument(
    `failed to parse platform: ${JSON.stringify(text)} is not of the form {"os":"linux","architecture":"arm64"}`,
  );
}
