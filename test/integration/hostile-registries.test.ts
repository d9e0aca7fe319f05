/** Registries that mean harm, or are broken: each is named in a clear sentence, and nothing is kept. */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { digestOf } from "../../src/oci/digest.ts";
import { layerOf } from "../../src/snapshot/snapshot.fixture.ts";
import { type Answer, HostileRegistry, packed } from "../helpers/hostile-registry.ts";

const registry = new HostileRegistry();

const small = packed(layerOf({ name: "f", text: "text" }));

test("a layer that may not be handed on comes from its own address, if it is what it should be", async () => {
  const foreign = createServer((_request, response) => response.end(small.packed));
  foreign.listen(0, "127.0.0.1");
  await once(foreign, "listening");
  try {
    const url = `http://127.0.0.1:${(foreign.address() as AddressInfo).port}/layer`;
    registry.image([small], (it) => {
      it.layers[0]!.mediaType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
      it.layers[0]!.urls = [url];
    });
    registry.blobs.delete(digestOf(small.packed));
    await registry.pull();
    assert.equal(registry.snapshotter.list().length, 1);
  } finally {
    foreign.close();
  }
});

test("addresses in a layer that every registry may have are not asked", async () => {
  let asked = 0;
  const inner = createServer((_request, response) => {
    asked += 1;
    response.end(small.packed);
  });
  inner.listen(0, "127.0.0.1");
  await once(inner, "listening");
  try {
    registry.image([small], (it) => {
      it.layers[0]!.urls = [`http://127.0.0.1:${(inner.address() as AddressInfo).port}/`];
    });
    registry.blobs.delete(digestOf(small.packed));
    await registry.assertRefused(/blob sha256/);
    assert.equal(asked, 0);
  } finally {
    inner.close();
  }
});

const isBlob = (request: IncomingMessage): boolean => (request.url ?? "").includes(digestOf(small.packed));
const isManifest = (request: IncomingMessage): boolean => (request.url ?? "").includes("/manifests/");
const misbehaving: [string, Answer, RegExp][] = [
  [
    "hangs",
    (request) => isBlob(request),
    /blob sha256:\w+ could not be fetched in 3 tries: .*127\.0\.0\.1:\d+.*(silent|answer|said nothing)/,
  ],
  [
    "cuts every time",
    (request, response) => {
      if (!isBlob(request)) return false;
      response.writeHead(200, { "Content-Length": small.packed.length });
      response.write(small.packed.subarray(0, 10), () => response.destroy());
      return true;
    },
    /could not be fetched in 3 tries: .*127\.0\.0\.1/,
  ],
  [
    "answers 500",
    (request, response) => {
      if (!isBlob(request)) return false;
      response.writeHead(500).end();
      return true;
    },
    /blob sha256:\w+.*(500|Internal Server Error)/,
  ],
  [
    "answers 429 without end",
    (request, response) => {
      if (!isManifest(request)) return false;
      response
        .writeHead(429, { "Retry-After": "0" })
        .end('{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}');
      return true;
    },
    /slow down/,
  ],
  [
    "promises a longer blob than it sends",
    (request, response) => {
      if (!isBlob(request)) return false;
      response.writeHead(200, { "Content-Length": small.packed.length + 100 });
      response.write(small.packed, () => setTimeout(() => response.destroy(), 20));
      return true;
    },
    /other bytes than it promised|could not be fetched/,
  ],
  [
    "answers with a web page for the API",
    (_request, response) => {
      response.writeHead(200, { "Content-Type": "text/html" }).end("<html>Welcome to the hotel</html>");
      return true;
    },
    /127\.0\.0\.1:\d+.*(no registry|no JSON|web page|text\/html|is no image)|is of type "text\/html"|no image that can be read/,
  ],
  [
    "answers 404 with a web page",
    (request, response) => {
      if (!isManifest(request)) return false;
      response.writeHead(404, { "Content-Type": "text/html" }).end("<html>nothing</html>");
      return true;
    },
    /manifest for 127\.0\.0\.1:\d+\/bad:1 not found/,
  ],
  [
    "sends a blob that never ends",
    (request, response) => {
      if (!isBlob(request)) return false;
      response.writeHead(200);
      const more = (): void => {
        if (!response.destroyed) response.write(Buffer.alloc(65_536), () => setImmediate(more));
      };
      more();
      return true;
    },
    /other bytes than it promised.*longer than/,
  ],
];
for (const [what, fault, words] of misbehaving)
  test(`a registry that ${what} is named, and nothing is kept`, async () => {
    registry.image([small]);
    registry.answer = fault;
    await registry.assertRefused(words);
  });
