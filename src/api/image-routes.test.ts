/** Routes of images, networks and volumes: progress, archives, and shapes by version. */
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { conflict, notFound } from "../base/errors.ts";
import type { ProgressMessage } from "../wire/image.ts";
import { recorder, startApi } from "./test-support.ts";

async function* messages(...list: (ProgressMessage | Error)[]): AsyncGenerator<ProgressMessage> {
  for (const message of list) {
    if (message instanceof Error) throw message;
    yield message;
  }
}

test("progress: objects with CRLF", async () => {
  await using t = await startApi({ imagePull: () => messages({ status: "a", id: "1" }, { status: "b" }) });
  const answer = await t.call("POST", "/v1.50/images/create?fromImage=i&tag=t", {
    headers: { "x-registry-auth": "%%%" },
  });
  assert.deepEqual(
    [answer.status, answer.headers["content-type"], answer.text],
    [200, "application/json", '{"status":"a","id":"1"}\r\n{"status":"b"}\r\n'],
  );
});

test("progress: an error before the first byte is a status, later an object", async () => {
  await using t = await startApi({
    imagePull: ({ image }) =>
      image === "early"
        ? messages(notFound("no such image"))
        : messages({ status: "a" }, conflict("cannot unpack")),
  });
  assert.equal((await t.call("POST", "/images/create?fromImage=early")).status, 404);
  const late = await t.call("POST", "/images/create?fromImage=late");
  assert.equal(late.status, 200);
  assert.equal(
    late.text,
    '{"status":"a"}\r\n{"errorDetail":{"message":"cannot unpack"},"error":"cannot unpack"}\r\n',
  );
});

test("import reads the body, or names an address", async () => {
  let options: Record<string, unknown> = {};
  await using t = await startApi({
    imageImport: async function* ({ source, signal: _signal, ...rest }) {
      let text = typeof source === "string" ? source : "";
      if (typeof source !== "string") for await (const chunk of source) text += String(chunk);
      options = { ...rest, text };
      yield { status: "sha256:1" };
    },
  });
  const path =
    "/images/create?fromSrc=-&repo=r&tag=t&message=m&changes=CMD%20a&changes=ENV%20b&platform=linux";
  const answer = await t.call("POST", path, { body: "tar", headers: { "content-type": "text/plain" } });
  assert.equal(answer.text, '{"status":"sha256:1"}\r\n');
  assert.deepEqual(options, {
    repository: "r",
    tag: "t",
    message: "m",
    changes: ["CMD a", "ENV b"],
    platform: "linux",
    text: "tar",
  });
  assert.equal((await t.call("POST", "/images/create?fromSrc=http://x/y.tar")).status, 200);
  assert.equal(options["text"], "http://x/y.tar");
});

test("load: a client that breaks off fails the source", async () => {
  const failed = Promise.withResolvers<unknown>();
  await using t = await startApi({
    imageLoad: async function* (archive) {
      try {
        for await (const _ of archive);
      } catch (error) {
        failed.resolve(error);
      }
      yield { stream: "Loaded image: x\n" };
    },
  });
  const socket = t.connect();
  socket.write("POST /images/load?quiet=1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  await sleep(20);
  socket.destroy();
  assert.ok((await failed.promise) instanceof Error);
});

test("save: names, content type, and a source that fails", async () => {
  const { calls, method } = recorder(undefined);
  await using t = await startApi({
    imageSave: async (names) => {
      await (method as (names: unknown) => Promise<unknown>)(names);
      if (names[0] === "none") throw notFound("No such image: none");
      if (names[0] === "broken") {
        return Readable.from(
          (async function* () {
            yield Buffer.from("x");
            throw new Error("read error");
          })(),
        );
      }
      return Readable.from([Buffer.from("ta"), Buffer.from("r")]);
    },
  });
  const answer = await t.call("GET", "/images/get?names=a&names=b/c:1");
  assert.deepEqual([answer.text, answer.headers["content-type"]], ["tar", "application/x-tar"]);
  assert.equal((await t.call("GET", "/images/h:5/a/b/get")).text, "tar");
  assert.deepEqual(calls, [[["a", "b/c:1"]], [["h:5/a/b"]]]);
  assert.equal((await t.call("GET", "/images/none/get")).status, 404);
  await assert.rejects(t.call("GET", "/images/broken/get"), /aborted|hang up/);
});

test("networks and volumes", async () => {
  const network = {
    Name: "bridge",
    Id: "n",
    Created: "",
    Scope: "local",
    Driver: "bridge",
    EnableIPv6: false,
    IPAM: { Driver: "default", Options: null, Config: [] },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: {},
    Options: {},
    Labels: {},
  };
  await using t = await startApi({
    networkList: async () => [network],
    networkInspect: async () => network,
    volumeList: async () => ({ volumes: [], warnings: [] }),
  });
  const [listed] = (await t.call("GET", "/v1.52/networks")).json() as Record<string, unknown>[];
  assert.ok(listed !== undefined && !("Containers" in listed) && listed["EnableIPv4"] === true);
  const inspected = (await t.call("GET", "/v1.47/networks/bridge")).json() as object;
  assert.ok("Containers" in inspected && !("EnableIPv4" in inspected));
  assert.equal((await t.call("GET", "/volumes?filters=")).text, '{"Volumes":[],"Warnings":null}\n');
});
