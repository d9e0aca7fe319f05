import { errorText, invalidArgument } from "../../base/errors.ts";
import type { AttachOptions, WaitCondition } from "../../engine/engine.ts";
import type { WaitResponse } from "../../wire/container.ts";
import type { Exchange, Route } from "../exchange.ts";
import { streamContentType } from "../frames.ts";
import { serveStdio } from "../hijack.ts";
import { logBlock } from "../log-frames.ts";
import { containerCreateRequest } from "../requests.ts";
import { shapeContainerInspect, shapeContainerSummary, shapeCreateRequest } from "../shape.ts";
import { StreamAnswer, unlessAborted, untilAborted } from "../stream.ts";
import { serveWebSocket } from "../websocket.ts";

async function list(x: Exchange): Promise<void> {
  const containers = await x.engine.containerList({
    all: x.query.flag("all"),
    limit: Math.max(x.query.integer("limit") ?? 0, 0),
    size: x.query.flag("size"),
    filters: x.query.filters(),
  });
  x.json(
    200,
    containers.map((container) => shapeContainerSummary(container, x.apiMinor)),
  );
}

async function create(x: Exchange): Promise<void> {
  const request = await x.readJson(containerCreateRequest);
  if (Object.keys(request).length === 0)
    throw invalidArgument("config cannot be empty in order to create a container");
  const endpoints = Object.keys(request.NetworkingConfig?.EndpointsConfig ?? {});
  if (x.apiMinor < 44 && endpoints.length > 1) {
    throw invalidArgument(
      `Container cannot be created with multiple network endpoints: ${endpoints.toSorted().join(", ")}`,
    );
  }
  if (x.apiMinor >= 52 && (request.MacAddress ?? "") !== "") {
    throw invalidArgument(
      "a container has no MacAddress of its own since API version 1.52: give it to the endpoint in NetworkingConfig",
    );
  }
  const created = await x.engine.containerCreate({
    name: x.query.text("name"),
    // Unknown before 1.41.
    platform: x.apiMinor < 41 ? undefined : x.query.text("platform"),
    request: shapeCreateRequest(request, x.apiMinor),
  });
  const isOldAddress = x.apiMinor >= 44 && (request.MacAddress ?? "") !== "";
  x.json(201, isOldAddress ? { ...created, Warnings: [oldMacAddress, ...created.Warnings] } : created);
}

const oldMacAddress =
  "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.";

async function inspect(x: Exchange): Promise<void> {
  const container = await x.engine.containerInspect(x.param("id"), { size: x.query.flag("size") });
  x.json(200, shapeContainerInspect(container, x.apiMinor));
}

async function start(x: Exchange): Promise<void> {
  // `null` and `{}` of old clients are let pass, settings are not: they would be ignored silently.
  const { "content-length": length, "transfer-encoding": encoding } = x.request.headers;
  if (encoding !== undefined || Number(length ?? 0) > 7) {
    throw invalidArgument(
      "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
    );
  }
  if ((x.query.text("checkpoint") ?? "") !== "")
    throw invalidArgument("checkpoint is only supported in experimental mode");
  await x.engine.containerStart(x.param("id"));
  x.empty(204);
}

/** Options of stop and restart. Before 1.42 they had no signal. */
function stopOptions(x: Exchange): { signal?: string; timeoutSeconds?: number } {
  const signal = x.apiMinor >= 42 ? x.query.text("signal") : undefined;
  const timeoutSeconds = x.query.integer("t");
  return {
    ...(signal === undefined ? {} : { signal }),
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
  };
}

const waitConditions: Readonly<Record<string, WaitCondition>> = {
  "": "not-running",
  "not-running": "not-running",
  "next-exit": "next-exit",
  removed: "removed",
};

async function wait(x: Exchange): Promise<void> {
  // Unknown before 1.30.
  const name = x.apiMinor >= 30 ? (x.query.text("condition") ?? "") : "";
  const condition = Object.hasOwn(waitConditions, name) ? waitConditions[name] : undefined;
  if (condition === undefined) throw invalidArgument(`invalid condition: "${name}"`);
  const { result } = x.engine.containerWait(x.param("id"), condition, x.signal);
  // `docker run` starts the container only when it sees these headers: from now on no exit can be missed.
  const answer = new StreamAnswer(x, "application/json");
  answer.start();
  const exited = result.catch((error: unknown): WaitResponse => ({
    StatusCode: -1,
    Error: { Message: errorText(error) },
  }));
  const response = await unlessAborted(exited, x.signal);
  if (response !== undefined) await answer.write(`${JSON.stringify(response)}\n`);
  answer.end();
}

function attachOptions({ query }: Exchange): AttachOptions {
  return {
    stdin: query.flag("stdin"),
    stdout: query.flag("stdout"),
    stderr: query.flag("stderr"),
    stream: query.flag("stream"),
    logs: query.flag("logs"),
    detachKeys: query.text("detachKeys"),
  };
}

async function attach(x: Exchange): Promise<void> {
  const options = attachOptions(x);
  const session = await x.engine.containerAttach(x.param("id"), options);
  await serveStdio(x, session, { hasInput: options.stdin });
}

async function attachWebSocket(x: Exchange): Promise<void> {
  const { upgrade } = x;
  if (upgrade === undefined || x.request.headers.upgrade?.toLowerCase() !== "websocket") {
    throw invalidArgument("attach/ws needs a WebSocket handshake (an Upgrade: websocket header)");
  }
  const session = await x.engine.containerAttach(x.param("id"), attachOptions(x));
  await serveWebSocket(x, session, upgrade);
}

/** `tail`: a number of lines; `all` and whatever is no number mean all. */
function tailOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

async function logs(x: Exchange): Promise<void> {
  const { query } = x;
  const stdout = query.flag("stdout");
  const stderr = query.flag("stderr");
  if (!stdout && !stderr) throw invalidArgument("Bad parameters: you must choose at least one stream");
  const { tty, entries } = await x.engine.containerLogs(x.param("id"), {
    stdout,
    stderr,
    follow: query.flag("follow"),
    tail: tailOf(query.text("tail")),
    sinceNs: query.timeNs("since") ?? 0n,
    untilNs: query.timeNs("until") ?? 0n,
    signal: x.signal,
  });
  const withTime = query.flag("timestamps");
  const withDetails = query.flag("details");
  const answer = new StreamAnswer(x, streamContentType(!tty, x.apiMinor));
  answer.start();
  for await (const block of untilAborted(entries, x.signal))
    await answer.write(logBlock(block, { withTime, withDetails, framed: !tty }));
  answer.end();
}

/** A size of a terminal's. The kernel keeps 16 bits of it (struct winsize). */
export function terminalSize(x: Exchange, name: "h" | "w"): number {
  const value = x.query.integer(name);
  const what = name === "h" ? "height" : "width";
  if (value === undefined)
    throw invalidArgument(`invalid resize ${what} "": strconv.Atoi: parsing "": invalid syntax`);
  if (value < 0 || value > 65535)
    throw invalidArgument(`invalid resize ${what} "${value}": value out of range`);
  return value;
}

async function remove(x: Exchange): Promise<void> {
  await x.engine.containerRemove(x.param("id"), {
    force: x.query.flag("force"),
    volumes: x.query.flag("v"),
    link: x.query.flag("link"),
  });
  x.empty(204);
}

async function top(x: Exchange): Promise<void> {
  x.json(200, await x.engine.containerTop(x.param("id"), x.query.text("ps_args") ?? "-ef"));
}

/** A route that does something and has nothing to say about it. */
function action(name: string, run: (x: Exchange, id: string) => Promise<void>): Route {
  return {
    method: "POST",
    path: `/containers/{id}/${name}`,
    handle: async (x) => {
      await run(x, x.param("id"));
      x.empty(204);
    },
  };
}

async function resize(x: Exchange): Promise<void> {
  await x.engine.containerResize(x.param("id"), terminalSize(x, "h"), terminalSize(x, "w"));
  x.empty(200);
}

export const containerRoutes: readonly Route[] = [
  { method: "GET", path: "/containers/json", handle: list },
  { method: "POST", path: "/containers/create", handle: create },
  { method: "GET", path: "/containers/{id}/json", handle: inspect },
  { method: "GET", path: "/containers/{id}/top", handle: top },
  { method: "GET", path: "/containers/{id}/logs", handle: logs },
  { method: "POST", path: "/containers/{id}/start", handle: start },
  action("stop", (x, id) => x.engine.containerStop(id, stopOptions(x))),
  action("restart", (x, id) => x.engine.containerRestart(id, stopOptions(x))),
  action("kill", (x, id) => x.engine.containerKill(id, x.query.text("signal") ?? "KILL")),
  action("pause", (x, id) => x.engine.containerPause(id)),
  action("unpause", (x, id) => x.engine.containerUnpause(id)),
  action("rename", (x, id) => x.engine.containerRename(id, x.query.text("name") ?? "")),
  { method: "POST", path: "/containers/{id}/resize", handle: resize },
  { method: "POST", path: "/containers/{id}/attach", handle: attach, upgrade: "hijack" },
  { method: "GET", path: "/containers/{id}/attach/ws", handle: attachWebSocket, upgrade: "websocket" },
  { method: "POST", path: "/containers/{id}/wait", handle: wait },
  { method: "DELETE", path: "/containers/{id...}", handle: remove },
];
