/**
 * References to images: `host/repository:tag@digest`.
 *
 * The grammar is that of the distribution project's reference package; the normalised form always has a host
 * (`docker.io/library/busybox:latest`), the *familiar* form is what people write and read (`busybox:latest`).
 */
import { invalidArgument } from "../base/errors.ts";
import { parseDigest } from "./digest.ts";

export interface Reference {
  /** Host with an optional port: `docker.io`, `127.0.0.1:5000`. */
  readonly domain: string;
  /** Path on that host: `library/busybox`. */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: string;
}

const defaultDomain = "docker.io";
const legacyDefaultDomain = "index.docker.io";
const officialPrefix = "library/";
const maxNameLength = 255;

const pathComponent = /[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*/.source;
const domainComponent = /(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])/.source;
const domainPattern = `(?:${domainComponent}(?:\\.${domainComponent})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const tagPattern = /\w[\w.-]{0,127}/.source;
const digestPattern = /[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}/.source;

const referenceForm = new RegExp(
  `^(${domainPattern})/(${pathComponent}(?:/${pathComponent})*)(?::(${tagPattern}))?(?:@(${digestPattern}))?$`,
);
const tagForm = new RegExp(`^${tagPattern}$`);
const identifierForm = /^[a-f0-9]{64}$/;

/** A first component is a host when it has a dot, a port or upper case, or is localhost. */
function looksLikeHost(component: string): boolean {
  return /[.:]/.test(component) || component === "localhost" || component !== component.toLowerCase();
}

function splitDomain(text: string): { domain: string; remainder: string } {
  const slash = text.indexOf("/");
  const head = text.slice(0, Math.max(slash, 0));
  const isHost = slash !== -1 && looksLikeHost(head);
  let domain = isHost ? head : defaultDomain;
  let remainder = isHost ? text.slice(slash + 1) : text;
  if (domain === legacyDefaultDomain) domain = defaultDomain;
  if (domain === defaultDomain && !remainder.includes("/")) remainder = officialPrefix + remainder;
  return { domain, remainder };
}

/**
 * Reads what a user wrote and fills in the default host. The tag stays undefined when none is given.
 * Throws `invalidArgument` with Docker's words (`invalid reference format`, …).
 */
export function parseReference(text: string): Reference {
  if (identifierForm.test(text))
    throw invalidArgument(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  const { domain, remainder } = splitDomain(text);
  const name = remainder.split(":", 1)[0]!.split("@", 1)[0]!;
  if (name !== name.toLowerCase())
    throw invalidArgument(`invalid reference format: repository name (${name}) must be lowercase`);
  const match = referenceForm.exec(`${domain}/${remainder}`);
  if (match === null) throw invalidArgument("invalid reference format");
  const [, host = "", path = "", tag, digest] = match;
  if (path.length > maxNameLength)
    throw invalidArgument(`repository name must not be more than ${maxNameLength} characters`);
  if (digest !== undefined) parseDigest(digest);
  return {
    domain: host,
    path,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** {@link parseReference}, or undefined for what is none. */
export function tryParseReference(text: string): Reference | undefined {
  try {
    return parseReference(text);
  } catch {
    return undefined;
  }
}

/** Adds the tag `latest` to a reference with neither tag nor digest. */
export function withDefaultTag(reference: Reference): Reference {
  return reference.tag === undefined && reference.digest === undefined
    ? { ...reference, tag: "latest" }
    : reference;
}

/** The reference with another tag and without a digest. Throws `invalidArgument` for a malformed tag. */
export function withTag(reference: Reference, tag: string): Reference {
  if (!tagForm.test(tag)) throw invalidArgument("invalid tag format");
  return { domain: reference.domain, path: reference.path, tag };
}

/** The reference by digest alone. Throws `invalidArgument` for a malformed digest. */
export function withDigest(reference: Reference, digest: string): Reference {
  parseDigest(digest);
  return { domain: reference.domain, path: reference.path, digest };
}

function suffix(reference: Reference): string {
  const tag = reference.tag === undefined ? "" : `:${reference.tag}`;
  const digest = reference.digest === undefined ? "" : `@${reference.digest}`;
  return tag + digest;
}

/** `docker.io/library/busybox`. */
export function repositoryName(reference: Reference): string {
  return `${reference.domain}/${reference.path}`;
}

/** The full form: `docker.io/library/busybox:latest`. Parsing it again gives the same reference. */
export function formatReference(reference: Reference): string {
  return repositoryName(reference) + suffix(reference);
}

/** The repository as people write it: `busybox`, `gantry/busybox`, `127.0.0.1:5000/x`. */
export function familiarName(reference: Reference): string {
  if (reference.domain !== defaultDomain) return repositoryName(reference);
  const rest = reference.path.slice(officialPrefix.length);
  const isOfficial = reference.path.startsWith(officialPrefix) && !rest.includes("/");
  if (isOfficial) return rest;
  // Without its host such a path would be read as another host's.
  return looksLikeHost(reference.path.split("/", 1)[0]!) ? repositoryName(reference) : reference.path;
}

/** The whole reference as people write it: `busybox:latest`. */
export function familiarReference(reference: Reference): string {
  return familiarName(reference) + suffix(reference);
}
