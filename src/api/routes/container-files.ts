import { invalidArgument } from "../../base/errors.ts";
import { BodyStream } from "../body-stream.ts";
import type { ContainerConfig, PathStat } from "../../wire/container.ts";
import type { Decoder } from "../decode.ts";
import { containerConfig } from "../requests.ts";
import type { Exchange, Route } from "../exchange.ts";
import { StreamAnswer, untilAborted } from "../stream.ts";
import type { Readable } from "node:stream";

const statHeader = "X-Docker-Container-Path-Stat";

function setStat(x: Exchange, stat: PathStat): void {
  x.response.setHeader(statHeader, Buffer.from(JSON.stringify(stat)).toString("base64"));
}

async function statPath(x: Exchange): Promise<void> {
  setStat(x, await x.engine.containerStatPath(x.param("id"), x.requiredQuery("path")));
  x.empty(200);
}

async function archive(x: Exchange): Promise<void> {
  const { stat, archive: stream } = await x.engine.containerArchive(x.param("id"), x.requiredQuery("path"));
  setStat(x, stat);
  await sendTar(x, stream);
}

/** Sends a tar as the answer. Nothing can tell of a failure in its middle but the connection's end. */
async function sendTar(x: Exchange, tar: Readable): Promise<void> {
  const answer = new StreamAnswer(x, "application/x-tar");
  try {
    for await (const chunk of untilAborted<Buffer>(tar, x.signal)) await answer.write(chunk);
  } finally {
    tar.destroy();
  }
  answer.end();
}

async function extract(x: Exchange): Promise<void> {
  await x.engine.containerExtract(x.param("id"), {
    path: x.requiredQuery("path"),
    source: new BodyStream(x.request),
    noOverwriteDirNonDir: x.query.flag("noOverwriteDirNonDir"),
    copyUidGid: x.query.flag("copyUIDGID"),
  });
  x.empty(200);
}

async function changes(x: Exchange): Promise<void> {
  const found = await x.engine.containerChanges(x.param("id"));
  x.json(200, found.length === 0 ? null : found);
}

async function exportContainer(x: Exchange): Promise<void> {
  await sendTar(x, await x.engine.containerExport(x.param("id")));
}

async function commit(x: Exchange): Promise<void> {
  const config = await x.readOptionalJson(optionalConfig);
  const changes = x.query.all("changes");
  if (changes.length > 0 && changes.every((text) => text.trim() === ""))
    throw invalidArgument("file with no instructions");
  const Id = await x.engine.containerCommit(x.query.text("container") ?? "", {
    repository: x.query.text("repo"),
    tag: x.query.text("tag"),
    author: x.query.text("author") ?? "",
    comment: x.query.text("comment") ?? "",
    pause: x.query.has("pause") ? x.query.flag("pause") : true,
    changes: x.query.texts("changes"),
    config,
  });
  x.json(201, { Id });
}

/** Docker's command line sends `null` when it has no wishes. */
const optionalConfig: Decoder<ContainerConfig | undefined> = (value, field) =>
  value === null || value === "" ? undefined : containerConfig(value, field);

export const containerFileRoutes: readonly Route[] = [
  { method: "GET", path: "/containers/{id}/changes", handle: changes },
  { method: "GET", path: "/containers/{id}/export", handle: exportContainer },
  { method: "POST", path: "/commit", handle: commit },
  { method: "HEAD", path: "/containers/{id}/archive", handle: statPath },
  { method: "GET", path: "/containers/{id}/archive", handle: archive },
  { method: "PUT", path: "/containers/{id}/archive", handle: extract },
];
