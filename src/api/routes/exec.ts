import type { Exchange, Route } from "../exchange.ts";
import { serveStdio } from "../hijack.ts";
import { execCreateRequest, execStartRequest } from "../requests.ts";
import { shapeExecRequest } from "../shape.ts";
import { terminalSize } from "./containers.ts";

async function create(x: Exchange): Promise<void> {
  const request = shapeExecRequest(await x.readJsonOrEmpty(execCreateRequest), x.apiMinor);
  x.json(201, await x.engine.execCreate(x.param("id"), request));
}

async function start(x: Exchange): Promise<void> {
  const request = shapeExecRequest((await x.readOptionalJson(execStartRequest)) ?? {}, x.apiMinor);
  const session = await x.engine.execStart(x.param("id"), request);
  if (session === undefined) x.empty(200);
  else await serveStdio(x, session, { hasInput: true });
}

async function resize(x: Exchange): Promise<void> {
  await x.engine.execResize(x.param("id"), terminalSize(x, "h"), terminalSize(x, "w"));
  x.empty(200);
}

async function inspect(x: Exchange): Promise<void> {
  x.json(200, await x.engine.execInspect(x.param("id")));
}

export const execRoutes: readonly Route[] = [
  { method: "POST", path: "/containers/{id}/exec", handle: create },
  { method: "POST", path: "/exec/{id}/start", handle: start, upgrade: "hijack" },
  { method: "POST", path: "/exec/{id}/resize", handle: resize },
  { method: "GET", path: "/exec/{id}/json", handle: inspect },
];
