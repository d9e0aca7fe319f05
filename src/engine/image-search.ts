import { invalidArgument } from "../base/errors.ts";
import { goQuote } from "../base/go-text.ts";
import { parseReference } from "../oci/reference.ts";
import type { RegistryCredentials } from "../registry/registry.ts";
import { type FoundImage, searchCatalog, searchIndex } from "../registry/search.ts";
import type { ImageSearchResult } from "../wire/image.ts";
import type { Filters } from "../wire/system.ts";
import { checkFilterKeys, filterBoolean, filterValues } from "./filters.ts";
import type { ImageContext } from "./image-context.ts";

const filterKeys = new Set(["is-automated", "is-official", "stars"]);
const defaultLimit = 25;
const maxLimit = 100;

export interface ImageSearchOptions {
  /** Words for Docker Hub, or `host[:port]/words` for another registry. */
  readonly term: string;
  readonly limit: number | undefined;
  readonly filters: Filters;
  readonly credentials: RegistryCredentials;
  readonly signal: AbortSignal;
}

/** Looks for images in Docker Hub, or in the list of another registry. Throws `invalidArgument`, `unavailable`. */
export async function imageSearch(
  context: ImageContext,
  options: ImageSearchOptions,
): Promise<ImageSearchResult[]> {
  const { term, filters, credentials, signal } = options;
  checkFilterKeys(filters, filterKeys);
  const limit = options.limit === undefined || options.limit === 0 ? defaultLimit : options.limit;
  if (limit < 1 || limit > maxLimit)
    throw invalidArgument(`limit ${limit} is outside the range of [1, ${maxLimit}]`);
  const wanted = filterTest(filters);
  const host = hostOf(term);
  let found: FoundImage[];
  if (host === undefined)
    found = await searchIndex(context.registry.openIndex(credentials), { term, limit, signal });
  else {
    const reference = { domain: host, path: "" };
    const session = await context.registry.openOwn({ reference, action: "pull", credentials, signal });
    found = await searchCatalog(session, { term: term.slice(host.length + 1), limit, signal });
  }
  return found.filter(wanted).map((image) => ({
    name: image.name,
    description: image.description,
    star_count: image.starCount,
    is_official: image.isOfficial,
    is_automated: image.isAutomated,
  }));
}

/** The registry that a term begins with; undefined for Docker Hub. */
function hostOf(term: string): string | undefined {
  if (/:\/\//.test(term))
    throw invalidArgument(`invalid repository name (${term}): it must be without https://`);
  const [head = "", ...rest] = term.split("/");
  if (rest.length === 0) return undefined;
  // What would be a host in a reference is one here.
  const { domain } = parseReference(`${head}/x`);
  return domain === "docker.io" ? undefined : domain;
}

function filterTest(filters: Filters): (image: FoundImage) => boolean {
  const isOfficial = filterBoolean(filters, "is-official");
  const isAutomated = filterBoolean(filters, "is-automated");
  const stars = filterValues(filters, "stars").map((text) => {
    if (!/^\d{1,9}$/.test(text))
      throw invalidArgument(
        `invalid filter 'stars=${text}': strconv.Atoi: parsing ${goQuote(text)}: invalid syntax`,
      );
    return Number(text);
  });
  return (image) =>
    (isOfficial === undefined || image.isOfficial === isOfficial) &&
    (isAutomated === undefined || image.isAutomated === isAutomated) &&
    stars.every((least) => image.starCount >= least);
}
