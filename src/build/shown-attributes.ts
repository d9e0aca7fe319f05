/** What a client says to the frontend, as it is told to others. */
import { redactCredentials } from "../base/redact-url.ts";

/** What one machine decides, or what is told elsewhere. */
const unlisted = /^(cgroup-parent|image-resolve-mode|platform|cache-imports|attest:.*)$/;

/** The attributes that belong into a record of a build (BuildKit, `FilterArgs`), addresses without passwords. */
export function shownAttributes(attributes: Iterable<readonly [string, string]>): Map<string, string> {
  const all = new Map(attributes);
  const contextKey = all.get("contextkey") || "context";
  const isAddress = (key: string): boolean =>
    key === contextKey || key.startsWith("context:") || key === "vcs:source";
  return new Map(
    [...all]
      .filter(([key]) => !unlisted.test(key))
      .map(([key, value]) => [key, isAddress(key) ? redactCredentials(value) : value]),
  );
}
