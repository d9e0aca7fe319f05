import { invalidArgument, notImplemented } from "../../base/errors.ts";
import type { Filters } from "../../wire/system.ts";
import type { Exchange, Route } from "../exchange.ts";
import { registryCredentials } from "../registry-header.ts";
import { shapeImageInspect, shapeImageSummary } from "../shape.ts";
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
  });
  x.json(
    200,
    images.map((image) => shapeImageSummary(image, x.apiMinor)),
  );
}

async function inspect(x: Exchange): Promise<void> {
  x.json(200, shapeImageInspect(await x.engine.imageInspect(x.param("name")), x.apiMinor));
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
  if (source !== "-") {
    throw notImplemented(`importing an image from ${source} is not served by this version of gantry`, {
      hint: "Download the file and import it from standard input (fromSrc=-).",
    });
  }
  const imported = x.engine.imageImport({
    source: x.request,
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
  await sendProgress(
    x,
    x.engine.imagePush({ image: x.param("name"), tag: x.query.text("tag"), credentials, signal }),
  );
}

async function load(x: Exchange): Promise<void> {
  await sendProgress(x, x.engine.imageLoad(x.request, { quiet: x.query.flag("quiet"), signal: x.signal }));
}

async function save(x: Exchange, names: readonly string[]): Promise<void> {
  const archive = await x.engine.imageSave(names);
  const answer = new StreamAnswer(x, "application/x-tar");
  try {
    for await (const chunk of untilAborted<Buffer>(archive, x.signal)) await answer.write(chunk);
  } finally {
    archive.destroy();
  }
  answer.end();
}

async function tag(x: Exchange): Promise<void> {
  await x.engine.imageTag(x.param("name"), x.requiredQuery("repo"), x.query.text("tag") ?? "latest");
  x.empty(201);
}

async function remove(x: Exchange): Promise<void> {
  const removed = await x.engine.imageRemove(x.param("name"), {
    force: x.query.flag("force"),
    noPrune: x.query.flag("noprune"),
  });
  x.json(200, removed);
}

async function history(x: Exchange): Promise<void> {
  x.json(200, await x.engine.imageHistory(x.param("name")));
}

export const imageRoutes: readonly Route[] = [
  { method: "GET", path: "/images/json", handle: list },
  { method: "POST", path: "/images/create", handle: create },
  { method: "POST", path: "/images/load", handle: load },
  { method: "GET", path: "/images/get", handle: (x) => save(x, x.query.texts("names")) },
  { method: "GET", path: "/images/{name...}/get", handle: (x) => save(x, [x.param("name")]) },
  { method: "GET", path: "/images/{name...}/json", handle: inspect },
  { method: "GET", path: "/images/{name...}/history", handle: history },
  { method: "POST", path: "/images/{name...}/tag", handle: tag },
  { method: "POST", path: "/images/{name...}/push", handle: push },
  { method: "DELETE", path: "/images/{name...}", handle: remove },
];
