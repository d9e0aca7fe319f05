import { BodyStream } from "../body-stream.ts";
import { invalidArgument } from "../../base/errors.ts";
import type { Filters } from "../../wire/system.ts";
import type { Exchange, Route } from "../exchange.ts";
import { registryCredentials } from "../registry-header.ts";
import { parsePlatformJson } from "../platform.ts";
import { shapeHistory, shapeImageInspect, shapeImageSummary } from "../shape.ts";
import { sendProgress, StreamAnswer, untilAborted } from "../stream.ts";

/** `filter=NAME` of API versions before 1.41 is the filter `reference` of today. */
function listFilters({ query, apiMinor }: Exchange): Filters {
  const filters = query.filters();
  const name = apiMinor < 41 ? query.text("filter") : undefined;
  if (name === undefined) return filters;
  return new Map([...filters, ["reference", [...(filters.get("reference") ?? []), name]]]);
}

async function list(x: Exchange): Promise<void> {
  const images = await x.engine.imageList({
    all: x.query.flag("all"),
    filters: listFilters(x),
    sharedSize: x.apiMinor >= 42 && x.query.flag("shared-size"),
    ...(x.apiMinor >= 47 && x.query.flag("manifests") ? { manifests: true } : {}),
  });
  x.json(
    200,
    images.map((image) => shapeImageSummary(image, x.apiMinor)),
  );
}

/** An image is here for one platform; another that is asked for is not found. */
async function checkPlatform(x: Exchange, names: readonly string[], parameter = "platform"): Promise<void> {
  for (const text of x.query.texts(parameter)) {
    const platform = parsePlatformJson(text);
    for (const name of names) await x.engine.imageCheckPlatform(name, platform);
  }
}

async function inspect(x: Exchange): Promise<void> {
  await checkPlatform(x, [x.param("name")]);
  const isComposeOne = (x.request.headers["user-agent"] ?? "").startsWith("docker-compose/1.");
  const image = await x.engine.imageInspect(x.param("name"));
  x.json(200, shapeImageInspect(image, x.apiMinor, isComposeOne || x.apiMinor < 45));
}

/** Pull (`fromImage`) or import (`fromSrc`). */
async function create(x: Exchange): Promise<void> {
  const image = x.query.text("fromImage");
  const source = x.query.text("fromSrc");
  const platform = x.query.text("platform");
  if (image !== undefined) {
    await sendProgress(
      x,
      x.engine.imagePull({
        image,
        tag: x.query.text("tag"),
        platform,
        credentials: registryCredentials(x),
        signal: x.signal,
      }),
    );
    return;
  }
  if (source === undefined)
    throw invalidArgument("either fromImage or fromSrc says where the image comes from");
  const imported = x.engine.imageImport({
    source: source === "-" ? new BodyStream(x.request) : source,
    signal: x.signal,
    repository: x.query.text("repo"),
    tag: x.query.text("tag"),
    message: x.query.text("message"),
    changes: x.query.texts("changes"),
    platform,
  });
  await sendProgress(x, imported);
}

async function push(x: Exchange): Promise<void> {
  const credentials = registryCredentials(x);
  const { signal } = x;
  const tag = x.query.text("tag");
  await checkPlatform(x, [tag === undefined ? x.param("name") : `${x.param("name")}:${tag}`]);
  await sendProgress(x, x.engine.imagePush({ image: x.param("name"), tag, credentials, signal }));
}

async function load(x: Exchange): Promise<void> {
  const text = x.query.text("platform");
  const platform = text === undefined ? {} : { platform: parsePlatformJson(text) };
  const options = { quiet: x.query.flag("quiet"), signal: x.signal, ...platform };
  await sendProgress(x, x.engine.imageLoad(new BodyStream(x.request), options));
}

async function save(x: Exchange, names: readonly string[]): Promise<void> {
  await checkPlatform(x, names);
  const archive = await x.engine.imageSave(names);
  const answer = new StreamAnswer(x, "application/x-tar");
  try {
    for await (const chunk of untilAborted<Buffer>(archive, x.signal)) await answer.write(chunk);
  } finally {
    archive.destroy();
  }
  answer.end();
}

async function search(x: Exchange): Promise<void> {
  const found = await x.engine.imageSearch({
    term: x.requiredQuery("term"),
    limit: x.query.integer("limit"),
    filters: x.query.filters(),
    credentials: registryCredentials(x),
    signal: x.signal,
  });
  x.json(200, found);
}

async function tag(x: Exchange): Promise<void> {
  await x.engine.imageTag(x.param("name"), x.requiredQuery("repo"), x.query.text("tag") ?? "latest");
  x.empty(201);
}

async function remove(x: Exchange): Promise<void> {
  await checkPlatform(x, [x.param("name")], "platforms");
  const removed = await x.engine.imageRemove(x.param("name"), {
    force: x.query.flag("force"),
    noPrune: x.query.flag("noprune"),
  });
  x.json(200, removed);
}

async function history(x: Exchange): Promise<void> {
  await checkPlatform(x, [x.param("name")]);
  x.json(200, shapeHistory(await x.engine.imageHistory(x.param("name"))));
}

/** A name that is empty, as a script's unset variable makes it, is not the same as none. */
function savedNames({ query }: Exchange): string[] {
  const names = query.texts("names");
  if (names.length === 0 && query.has("names")) throw invalidArgument("invalid reference format");
  return names;
}

export const imageRoutes: readonly Route[] = [
  { method: "GET", path: "/images/json", handle: list },
  { method: "GET", path: "/images/search", handle: search },
  { method: "POST", path: "/images/create", handle: create },
  { method: "POST", path: "/images/load", handle: load },
  { method: "GET", path: "/images/get", handle: (x) => save(x, savedNames(x)) },
  { method: "GET", path: "/images/{name...}/get", handle: (x) => save(x, [x.param("name")]) },
  { method: "GET", path: "/images/{name...}/json", handle: inspect },
  { method: "GET", path: "/images/{name...}/history", handle: history },
  { method: "POST", path: "/images/{name...}/tag", handle: tag },
  { method: "POST", path: "/images/{name...}/push", handle: push },
  { method: "DELETE", path: "/images/{name...}", handle: remove },
];
