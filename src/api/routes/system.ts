import { invalidArgument } from "../../base/errors.ts";
import type { Exchange, Route } from "../exchange.ts";
import { shapeEvent, shapeInfo, shapeVersion } from "../shape.ts";
import { StreamAnswer, untilAborted } from "../stream.ts";

function ping({ request, response }: Exchange): void {
  const text = "OK";
  response.writeHead(200, {
    "Builder-Version": "2",
    Swarm: "inactive",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    Pragma: "no-cache",
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": request.method === "HEAD" ? 0 : text.length,
  });
  response.end(text);
}

/** How events are put one after the other: JSON text sequences (RFC 7464) begin each with a record separator. */
function eventFormat({ request, apiMinor }: Exchange): { contentType: string; prefix: string } {
  if (apiMinor < 52) return { contentType: "application/json", prefix: "" };
  const accepted = request.headers.accept ?? "";
  if (accepted.includes("application/json-seq"))
    return { contentType: "application/json-seq", prefix: "\u001E" };
  const isNdjson = accepted.includes("application/x-ndjson");
  return { contentType: isNdjson ? "application/x-ndjson" : "application/jsonl", prefix: "" };
}

async function events(exchange: Exchange): Promise<void> {
  const { engine, query, signal, apiMinor } = exchange;
  // Asked for before the headers go out, so that a bad filter still gets its status.
  const [sinceNs, untilNs] = [query.timeNs("since"), query.timeNs("until")];
  if (sinceNs !== undefined && untilNs !== undefined && untilNs < sinceNs)
    throw invalidArgument(
      `\`since\` time (${query.text("since")}) cannot be after \`until\` time (${query.text("until")})`,
    );
  const source = engine.events({
    sinceNs,
    untilNs,
    filters: query.filters(),
    signal,
  });
  const { contentType, prefix } = eventFormat(exchange);
  const answer = new StreamAnswer(exchange, contentType);
  answer.start();
  for await (const event of untilAborted(source, signal)) {
    await answer.write(`${prefix}${JSON.stringify(shapeEvent(event, apiMinor))}\n`);
  }
  answer.end();
}

function plugins(x: Exchange): void {
  for (const key of x.query.filters().keys())
    if (key !== "capability" && key !== "enabled") throw invalidArgument(`invalid filter '${key}'`);
  x.json(200, []);
}

export const systemRoutes: readonly Route[] = [
  { method: "GET", path: "/_ping", handle: ping },
  { method: "HEAD", path: "/_ping", handle: ping },
  {
    method: "GET",
    path: "/version",
    handle: async (x) => x.json(200, shapeVersion(await x.engine.version())),
  },
  {
    method: "GET",
    path: "/info",
    handle: async (x) => x.json(200, shapeInfo(await x.engine.info(), x.apiMinor)),
  },
  { method: "GET", path: "/events", handle: events },
  // There are no plugins, and clients ask for the list when they look for drivers.
  { method: "GET", path: "/plugins", handle: plugins },
];
