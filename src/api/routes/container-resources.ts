import { invalidArgument } from "../../base/errors.ts";
import type { Exchange, Route } from "../exchange.ts";
import { containerUpdateRequest } from "../requests.ts";
import { StreamAnswer, untilAborted } from "../stream.ts";

async function stats(x: Exchange): Promise<void> {
  const stream = x.query.has("stream") ? x.query.flag("stream") : true;
  // Unknown before 1.41.
  const oneShot = x.apiMinor >= 41 && x.query.flag("one-shot");
  if (stream && oneShot) throw invalidArgument("cannot have stream=true and one-shot=true");
  const all = x.engine.containerStats(x.param("id"), {
    stream,
    oneShot,
    signal: x.signal,
  });
  const answer = new StreamAnswer(x, "application/json");
  for await (const one of untilAborted(all, x.signal)) await answer.write(`${JSON.stringify(one)}\n`);
  answer.end();
}

async function update(x: Exchange): Promise<void> {
  const change = await x.readJsonOrEmpty(containerUpdateRequest);
  const warnings = await x.engine.containerUpdate(x.param("id"), change);
  x.json(200, { Warnings: warnings.length > 0 ? warnings : null });
}

export const containerResourceRoutes: readonly Route[] = [
  { method: "GET", path: "/containers/{id}/stats", handle: stats },
  { method: "POST", path: "/containers/{id}/update", handle: update },
];
