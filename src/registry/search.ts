/** Looking for images: Docker Hub's search, and the list of repositories of any other registry. */
import { EngineError } from "../base/errors.ts";
import { header, readBody } from "./http.ts";
import type { RegistrySession } from "./session.ts";

export interface FoundImage {
  readonly name: string;
  readonly description: string;
  readonly starCount: number;
  readonly isOfficial: boolean;
  readonly isAutomated: boolean;
}

const maxAnswerBytes = 16 * 1024 * 1024;
const maxPages = 1000;

/** Docker Hub's `GET /v1/search`: best first, at most `limit`. */
export async function searchIndex(
  session: RegistrySession,
  { term, limit, signal }: { term: string; limit: number; signal: AbortSignal },
): Promise<FoundImage[]> {
  const query = new URLSearchParams({ q: term, n: String(limit) });
  const answer = await session.send({
    what: `searching for ${JSON.stringify(term)}`,
    method: "GET",
    path: new URL(`/v1/search?${query.toString()}`, session.options.endpoint.origin),
    headers: { "X-Docker-Token": "true" },
    accept: [200],
    signal,
  });
  const { results } = parse(session, await readBody(answer, maxAnswerBytes)) as { results?: unknown };
  if (!Array.isArray(results)) throw noList(session);
  return results.slice(0, limit).map((entry: Record<string, unknown>) => ({
    name: text(entry["name"]),
    description: text(entry["description"]),
    starCount: Number(entry["star_count"]) || 0,
    isOfficial: entry["is_official"] === true,
    isAutomated: entry["is_automated"] === true,
  }));
}

/** The repositories of a registry whose name has `term` in it (distribution's `GET /v2/_catalog`), by name. */
export async function searchCatalog(
  session: RegistrySession,
  { term, limit, signal }: { term: string; limit: number; signal: AbortSignal },
): Promise<FoundImage[]> {
  const { origin, prefix } = session.options.endpoint;
  const found: FoundImage[] = [];
  let path = new URL(`${origin}${prefix}/v2/_catalog?n=1000`);
  for (let page = 0; page < maxPages && found.length < limit; page += 1) {
    const answer = await session.send({
      what: "listing repositories",
      method: "GET",
      path,
      accept: [200],
      scope: "registry:catalog:*",
      signal,
    });
    const next = /<([^>]+)>\s*;\s*rel="?next"?/.exec(header(answer, "link") ?? "")?.[1];
    const { repositories } = parse(session, await readBody(answer, maxAnswerBytes)) as {
      repositories?: unknown;
    };
    if (repositories !== null && !Array.isArray(repositories)) throw noList(session);
    for (const name of (repositories ?? []) as unknown[])
      if (typeof name === "string" && name.includes(term))
        found.push({
          name: `${session.host}/${name}`,
          description: "",
          starCount: 0,
          isOfficial: false,
          isAutomated: false,
        });
    if (next === undefined || !URL.canParse(next, origin) || new URL(next, origin).origin !== origin) break;
    path = new URL(next, origin);
  }
  return found.slice(0, limit);
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");

function noList(session: RegistrySession): EngineError {
  return new EngineError("unavailable", `the registry ${session.host} answered with no list of images`);
}

function parse(session: RegistrySession, bytes: Buffer): object {
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8"));
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // Said below.
  }
  throw noList(session);
}
