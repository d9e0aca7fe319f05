import type { Exchange, Route } from "../exchange.ts";
import { volumeCreateRequest } from "../requests.ts";
import { shapeVolume } from "../shape.ts";

async function list(x: Exchange): Promise<void> {
  const { volumes, warnings } = await x.engine.volumeList(x.query.filters());
  x.json(200, { Volumes: volumes.map(shapeVolume), Warnings: warnings.length > 0 ? warnings : null });
}

async function inspect(x: Exchange): Promise<void> {
  x.json(200, shapeVolume(await x.engine.volumeInspect(x.param("name"))));
}

async function create(x: Exchange): Promise<void> {
  x.json(
    201,
    shapeVolume(await x.engine.volumeCreate((await x.readOptionalJson(volumeCreateRequest)) ?? {})),
  );
}

async function remove(x: Exchange): Promise<void> {
  await x.engine.volumeRemove(x.param("name"), { force: x.query.flag("force") });
  x.empty(204);
}

export const volumeRoutes: readonly Route[] = [
  { method: "GET", path: "/volumes", handle: list },
  { method: "POST", path: "/volumes/create", handle: create },
  { method: "DELETE", path: "/volumes/{name}", handle: remove },
  { method: "GET", path: "/volumes/{name}", handle: inspect },
];
