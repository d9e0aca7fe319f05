/** OCI layouts that a build reads and writes on this machine: local cache, contexts and outputs. */
import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import { isKind } from "../../base/errors.ts";
import { LayoutStore } from "../../client/buildkit/layout-store.ts";
import type { CacheEntry } from "../../client/buildkit/solve.ts";
import type { Descriptor } from "../../oci/image-spec.ts";
import { CliError } from "../errors.ts";
import type { ParsedArguments } from "../parser.ts";
import { csvPairs } from "./csv.ts";

/** A layout whose index names what the build says it has written. */
export interface WrittenLayout {
  readonly store: LayoutStore;
  readonly tag: string;
  /** What of the builder's answer is its descriptor, as JSON, perhaps in base64. */
  readonly key: "cache.manifest" | "containerimage.descriptor";
}

/** Writes names into the layouts, once the build is done. */
export function nameLayouts(layouts: readonly WrittenLayout[], response: ReadonlyMap<string, string>): void {
  for (const { store, tag, key } of layouts) {
    const value = response.get(key);
    if (value === undefined) continue;
    const json = value.startsWith("{") ? value : Buffer.from(value, "base64").toString();
    store.tag(tag, JSON.parse(json) as Descriptor);
  }
}

export interface CacheOptions {
  readonly from: CacheEntry[];
  readonly to: CacheEntry[];
  readonly layouts: WrittenLayout[];
}

/** `--cache-from` and `--cache-to`: `user/app:cache`, or `type=local,src=DIR`. Throws `CliError`. */
export function readCache(parsed: ParsedArguments, stores: Map<string, LayoutStore>): CacheOptions {
  const layouts: WrittenLayout[] = [];
  const to = parsed.list("cache-to").map((entry) => {
    const cache = cacheEntry(entry);
    const store = localStore(cache, "dest", stores);
    if (store === undefined) return cache;
    store.create();
    layouts.push({ store, tag: cache.attributes["tag"] || "latest", key: "cache.manifest" });
    return cache;
  });
  const from = parsed.list("cache-from").map((entry): CacheEntry => {
    const cache = cacheEntry(entry);
    const store = localStore(cache, "src", stores);
    if (store === undefined || cache.attributes["digest"]) return cache;
    try {
      const digest = store.find(cache.attributes["tag"] || "latest");
      return { ...cache, attributes: { ...cache.attributes, digest } };
    } catch (error) {
      // Cache that is not there yet costs nothing but time.
      if (!isKind(error, "notFound")) throw error;
      return cache;
    }
  });
  return { from, to, layouts };
}

function localStore(
  { type, attributes }: CacheEntry,
  key: "src" | "dest",
  stores: Map<string, LayoutStore>,
): LayoutStore | undefined {
  if (type !== "local") return undefined;
  const directory = attributes[key];
  if (!directory) throw new CliError(`${key} is required for local cache`);
  const store = new LayoutStore(resolve(directory));
  stores.set(`local:${directory}`, store);
  return store;
}

function cacheEntry(entry: string): CacheEntry {
  if (!entry.includes("=")) return { type: "registry", attributes: { ref: entry } };
  const pairs = csvPairs(entry);
  const type = pairs.get("type") ?? "";
  if (type === "") throw new CliError(`type required form> ${JSON.stringify(entry)}`);
  pairs.delete("type");
  return { type, attributes: Object.fromEntries(pairs) };
}

/** `oci-layout://PATH[:TAG][@DIGEST]` in the words that the builder knows. */
export function layoutContext(address: string, stores: Map<string, LayoutStore>): string {
  const [, path = "", tag = "latest", digest] =
    /^oci-layout:\/\/(.+?)(?::([\w][\w.-]*))?(?:@(.+))?$/.exec(address) ?? [];
  const store = new LayoutStore(resolve(path));
  const name = randomBytes(8).toString("hex");
  stores.set(`oci:${name}`, store);
  return `oci-layout://${name}:${tag}@${digest ?? store.find(tag)}`;
}
