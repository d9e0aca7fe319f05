import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { tarEnd, tarHeader, tarPadding } from "../oci/tar-writer.ts";
import type { BuildEvent } from "./build.ts";
import { joinPath } from "./files/file-tree.ts";
import { type TestBuilder, testBuilder } from "./builder.fixture.ts";
import { openRoot, topOf } from "./layers.ts";

const isRoot = process.getuid?.() === 0;

test("what ADD downloads is shown without the password in its address", async () => {
  await using it = await testBuilder();
  const server = createServer((_request, response) => response.end("text"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const place = `127.0.0.1:${(server.address() as AddressInfo).port}/file`;
    const buildArgs = { PLACE: `user:token@${place}`, SUM: `sha256:${"0".repeat(64)}` };
    const Dockerfile = 'FROM scratch\nARG PLACE\nARG SUM\nADD --checksum=$SUM "http://$PLACE" /file\n';
    const events: BuildEvent[] = [];
    const building = it.build({ Dockerfile }, { buildArgs, onEvent: (event) => events.push(event) });
    await assert.rejects(building, (error: Error) => {
      assert.match(error.message, /^digest mismatch sha256:/);
      assert.ok(error.message.endsWith(` for http://xxxxx:xxxxx@${place}`), error.message);
      return true;
    });
    const names = new Set(events.flatMap((event) => (event.kind === "vertex" ? [event.name] : [])));
    assert.ok(names.has(`http://xxxxx:xxxxx@${place}`), [...names].join("\n"));
    const plain = `FROM scratch\nADD http://user:token@${place} /file\n`;
    const built = await it.build({ Dockerfile: plain }, { onEvent: (event) => events.push(event) });
    const titles = events.flatMap((event) =>
      event.kind === "vertex" ? [event.name] : event.kind === "step" ? [event.text] : [],
    );
    assert.ok(titles.includes(`[1/1] ADD http://xxxxx:xxxxx@${place} /file`), titles.join("\n"));
    const records = await it.builder.cacheList();
    const told = JSON.stringify([titles, built.images[0]!.config.history, records]);
    assert.doesNotMatch(told, /user:|token/);
    assert.match(told, /xxxxx:xxxxx@127/);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

/** An archive with a directory that it does not list. */
function archive(): string {
  const header = tarHeader({ name: "in/file", type: "file", mode: 0o640, uid: 5, gid: 6, sizeBytes: 4 });
  return Buffer.concat([header, Buffer.from("text"), tarPadding(4), tarEnd()]).toString("latin1");
}

test("an archive that ends too early fails the build, what is none is copied", async () => {
  await using it = await testBuilder();
  const cut = tarHeader({ name: "file", type: "file", mode: 0o640, sizeBytes: 4 }).toString("latin1");
  const Dockerfile = "FROM scratch\nADD a.tar /d/\n";
  await assert.rejects(it.build({ Dockerfile, "a.tar": cut }), {
    message: /^cannot unpack a\.tar: malformed tar archive: it ends inside a file/,
  });
  const { images } = await it.build({ Dockerfile, "a.tar": cut.slice(0, 300) });
  using root = openRoot(it.host, topOf(images[0]!.layers));
  assert.deepEqual(root.tree.list("d"), ["a.tar"]);
});

async function entriesOf(it: TestBuilder, Dockerfile: string): Promise<Map<string, string>> {
  const { images } = await it.build({ Dockerfile, "a.tar": archive(), f: "" });
  using root = openRoot(it.host, topOf(images[0]!.layers));
  const rights = new Map<string, string>();
  const visit = (directory: string): void => {
    for (const name of root.tree.list(directory)) {
      const entry = root.tree.stat(joinPath(directory, name))!;
      rights.set(entry.path, `${entry.uid}:${entry.gid} ${entry.mode.toString(8)}`);
      if (entry.type === "directory") visit(entry.path);
    }
  };
  visit("");
  return rights;
}

test(
  "what ADD takes out of an archive keeps its owners and modes",
  { skip: !isRoot && "needs root" },
  async () => {
    await using it = await testBuilder();
    const text = "FROM scratch\nADD --chown=7:8 --chmod=700 a.tar /to/\nCOPY --chown=7:8 --chmod=700 f /f\n";
    assert.deepEqual(Object.fromEntries(await entriesOf(it, text)), {
      f: "7:8 700",
      to: "7:8 755",
      "to/in": "0:0 755",
      "to/in/file": "5:6 640",
    });
  },
);

test(
  "a name that is not there is root, with a warning; the classic builder refuses it",
  { skip: !isRoot && "needs root" },
  async () => {
    await using it = await testBuilder();
    const files = { Dockerfile: "FROM scratch\nCOPY --chown=nobody:9 f /f\n", f: "" };
    const { events, images } = await it.build(files);
    const warnings = events.flatMap((event) => (event.kind === "warning" ? [event.short] : []));
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /nobody in an empty image: the files belong to root$/);
    using root = openRoot(it.host, topOf(images[0]!.layers));
    const { uid, gid } = root.tree.stat("f")!;
    assert.deepEqual([uid, gid], [0, 9]);
    await assert.rejects(it.build({ ...files, f: "other" }, { keepsSteps: true }), /nobody/);
  },
);

const checksums: readonly (readonly [string, RegExp])[] = [
  ["ADD --checksum=sha256:1 f /f", /checksum requires HTTP\(S\) or Git sources/],
  ["ADD --checksum=sha256:1 f http://host/g /f/", /checksum can't be specified for multiple sources/],
  ["ADD --checksum=md5:1 http://127.0.0.1:1/f /f", /unsupported digest algorithm/],
  ["STOPSIGNAL SIGFOO", /invalid signal: SIGFOO/],
];
for (const [line, words] of checksums)
  test(`refused: ${line}`, async () => {
    await using it = await testBuilder();
    await assert.rejects(it.build({ Dockerfile: `FROM scratch\n${line}\n`, f: "" }), words);
  });

test("history has the words that BuildKit leaves", async () => {
  await using it = await testBuilder();
  const Dockerfile =
    "FROM scratch\nCOPY --link --exclude=x --chown=1:2 --chmod=600 f /f\nCOPY --parents d/./f /d/\nWORKDIR /w\nWORKDIR /\n";
  const { images } = await it.build({ Dockerfile, f: "", "d/f": "" });
  assert.deepEqual(
    images[0]!.config.history?.map(({ created_by, empty_layer = false }) => [created_by, empty_layer]),
    [
      ["COPY --chown=1:2 --chmod=600 f /f # buildkit", false],
      ["COPY --parents d/./f /d/ # buildkit", false],
      ["WORKDIR /w", false],
      ["WORKDIR /", true],
    ],
  );
});
