/** Names as the distribution specification 1.1 allows them (section Pulling manifests). */
import { isDigest, parseDigest } from "../../oci/digest.ts";
import { RequestError } from "./errors.ts";

const repositoryForm = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const tagForm = /^\w[\w.-]{0,127}$/;
/** Docker's clients cut off above this length. */
const maxNameLength = 255;

/** Throws `NAME_INVALID`. */
export function checkRepository(name: string): string {
  if (name.length > maxNameLength || !repositoryForm.test(name))
    throw new RequestError(400, "NAME_INVALID", `invalid repository name ${JSON.stringify(name)}`);
  return name;
}

/** Throws `DIGEST_INVALID`. */
export function checkDigest(text: string): string {
  try {
    parseDigest(text);
  } catch {
    throw new RequestError(400, "DIGEST_INVALID", `invalid digest ${JSON.stringify(text)}`);
  }
  return text;
}

/** A tag or a digest, as it stands in the path of a manifest. Throws `DIGEST_INVALID` or `TAG_INVALID`. */
export function parseManifestReference(text: string): { readonly tag: string } | { readonly digest: string } {
  if (text.includes(":")) return { digest: checkDigest(text) };
  if (!tagForm.test(text))
    throw new RequestError(400, "TAG_INVALID", `invalid tag ${JSON.stringify(text.slice(0, 200))}`);
  return { tag: text };
}

export { isDigest };
