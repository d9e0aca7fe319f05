import type { Exchange, Route } from "../exchange.ts";

async function list(x: Exchange): Promise<void> {
  x.json(200, { Volumes: await x.engine.volumeList(x.query.filters()), Warnings: null });
}

async function inspect(x: Exchange): Promise<void> {
  x.json(200, await x.engine.volumeInspect(x.param("name")));
}

export const volumeRoutes: readonly Route[] = [
  { method: "GET", path: "/volumes", handle: list },
  { method: "GET", path: "/volumes/{name}", handle: inspect },
];
