/** Searching, and what an image of one platform answers to questions for another. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { openImages } from "../../src/engine/image.fixture.ts";
import { startGantryRegistry } from "../helpers/gantry-registry.ts";
import { busybox, busyboxTar } from "../helpers/images.ts";
import { run } from "../helpers/process.ts";
import { flavour } from "../helpers/daemon.ts";
import { useDaemon } from "../helpers/suite.ts";
import { realHost } from "../helpers/test-host.ts";

const arch = (await run(["uname", "-m"])).stdout.trim() === "aarch64" ? "arm64" : "amd64";
const other = arch === "amd64" ? "linux/arm64" : "linux/amd64";

test("Docker Hub's search is asked as Docker asks it, and filtered", async () => {
  const asked: string[] = [];
  const hub = createServer((request, response) => {
    asked.push(request.url ?? "");
    const entry = (name: string, stars: number, official: boolean): object => ({
      name,
      description: `about ${name}`,
      star_count: stars,
      is_official: official,
      is_automated: false,
    });
    response.end(
      JSON.stringify({ num_results: 2, results: [entry("redis", 900, true), entry("me/redis", 2, false)] }),
    );
  });
  hub.listen(0, "127.0.0.1");
  await once(hub, "listening");
  const root = mkdtempSync(join(tmpdir(), "gantry-test-search-"));
  try {
    const { cases } = openImages(root, {
      driver: "vfs",
      registryPlace: { hubIndex: `http://127.0.0.1:${(hub.address() as AddressInfo).port}`, environment: {} },
    });
    const search = (filters: Record<string, string[]> = {}, limit?: number): Promise<{ name: string }[]> =>
      cases.imageSearch({
        term: "redis",
        limit,
        filters: new Map(Object.entries(filters)),
        credentials: {},
        signal: new AbortController().signal,
      });
    assert.deepEqual((await search())[0], {
      name: "redis",
      description: "about redis",
      star_count: 900,
      is_official: true,
      is_automated: false,
    });
    assert.equal(asked[0], "/v1/search?q=redis&n=25");
    assert.deepEqual(
      (await search({ stars: ["3"] })).map(({ name }) => name),
      ["redis"],
    );
    assert.deepEqual(
      (await search({ "is-official": ["false"] })).map(({ name }) => name),
      ["me/redis"],
    );
    assert.equal((await search({}, 1)).length, 1);
    await assert.rejects(search({}, 101), /limit 101 is outside the range of \[1, 100\]/);
    await assert.rejects(search({ color: ["red"] }), /invalid filter 'color'/);
    await assert.rejects(search({ stars: ["many"] }), /invalid filter 'stars=many'/);
  } finally {
    hub.close();
    rmSync(root, { recursive: true });
  }
});

describe("with a daemon", { skip: flavour === "docker" }, () => {
  const suite = useDaemon({
    host: realHost,
    // Another run of this file on the same machine has others.
    bridge: `gt-se-${process.pid}`,
    bip: `10.205.${process.pid % 250}.1/24`,
    leaves: ["data-root", "descriptors"],
  });
  before(async () => {
    await suite.daemon.dockerOk(["tag", busybox, "platforms/here:1"]);
  });

  test("a registry of one's own is searched by its list; both command lines show it", async () => {
    const { daemon } = suite;
    await using registry = await startGantryRegistry();
    for (const name of ["team/web", "team/worker", "other/web"]) {
      await daemon.dockerOk(["tag", busybox, `${registry.address}/${name}:1`]);
      await daemon.dockerOk(["push", "-q", `${registry.address}/${name}:1`], { timeoutMs: 60_000 });
      await daemon.dockerOk(["rmi", `${registry.address}/${name}:1`]);
    }
    const found = await daemon.dockerOk(["search", "--format", "{{.Name}}", `${registry.address}/web`]);
    assert.deepEqual(found.split("\n"), [`${registry.address}/other/web`, `${registry.address}/team/web`]);
    const ours = await daemon.gantry(["search", "--limit", "1", `${registry.address}/team`]);
    assert.match(ours.stdout, /^NAME\s+DESCRIPTION\s+STARS\s+OFFICIAL\n\S+\/team\/web\s+0\s*\n$/);
    // What was pushed comes back through docker's command line, from our registry.
    await daemon.dockerOk(["pull", "-q", `${registry.address}/team/web:1`], { timeoutMs: 60_000 });
    assert.equal(
      await daemon.dockerOk([
        "run",
        "--rm",
        "--network",
        "none",
        `${registry.address}/team/web:1`,
        "echo",
        "x",
      ]),
      "x",
    );
    await daemon.dockerOk(["rmi", `${registry.address}/team/web:1`]);
  });

  test("--platform of save, load, push, history and inspect: the image's own, or not found", async () => {
    const { daemon } = suite;
    const own = `linux/${arch}`;
    const archive = join(daemon.root, "platform.tar");
    for (const program of ["docker", "gantry"] as const) {
      assert.equal(
        (await daemon[program](["save", "--platform", own, "-o", archive, "platforms/here:1"])).code,
        0,
      );
      const saved = await daemon[program]([
        "save",
        "--platform",
        other,
        "-o",
        `${archive}.no`,
        "platforms/here:1",
      ]);
      assert.match(
        saved.stderr,
        /platforms\/here:1 was found but does not provide the specified platform \(linux\/\w+\)/,
      );
      const loaded = await daemon[program](["load", "--platform", own, "-i", archive]);
      assert.match(loaded.stdout, /Loaded image: platforms\/here:1/);
      const refused = await daemon[program](["load", "--platform", other, "-i", archive]);
      assert.match(refused.stderr, /the archive has no image for the platform/);
      const history = await daemon[program](["history", "--platform", other, "platforms/here:1"]);
      assert.match(history.stderr, /does not provide the specified platform/);
      const pushed = await daemon[program](["push", "--platform", other, "platforms/here:1"]);
      assert.match(pushed.stderr, /does not provide the specified platform/);
    }
  });

  test("import from an address on the web, with changes", async () => {
    const { daemon } = suite;
    const tar = await busyboxTar(daemon.root);
    const { createReadStream } = await import("node:fs");
    const web = createServer((request, response) => {
      if (request.url === "/root.tar?token=secret") createReadStream(tar).pipe(response);
      else if (request.url === "/cut.tar") {
        response.writeHead(200, { "Content-Length": "100000" });
        response.write(Buffer.alloc(1000), () => request.socket.end());
      } else if (request.url === "/private.tar" && request.headers.authorization !== undefined)
        createReadStream(tar).pipe(response);
      else if (request.url === "/moved.tar")
        response.writeHead(302, { Location: "/root.tar?token=secret" }).end();
      else response.writeHead(404).end();
    });
    web.listen(0, "127.0.0.1");
    await once(web, "listening");
    const origin = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
    try {
      for (const program of ["docker", "gantry"] as const) {
        const made = await daemon[program](
          [
            "import",
            "-c",
            'CMD ["echo", "hello"]',
            "-c",
            "ENV A=b",
            `${origin}/root.tar?token=secret`,
            `web/${program}:1`,
          ],
          { timeoutMs: 60_000 },
        );
        assert.equal(made.code, 0, made.stderr);
        assert.equal(
          await daemon.dockerOk(["run", "--rm", "--network", "none", `web/${program}:1`]),
          "hello",
        );
        const comment = await daemon.dockerOk(["history", "--format", "{{.Comment}}", `web/${program}:1`]);
        assert.equal(comment, `Imported from ${origin}/root.tar`);
        const missing = await daemon[program](["import", `${origin}/none.tar`, "web/none:1"]);
        assert.match(
          missing.stderr,
          /cannot download http:\/\/127\.0\.0\.1:\d+\/none\.tar: the server answered 404/,
        );
        await daemon.dockerOk(["rmi", `web/${program}:1`]);
      }
      const cut = await daemon.docker(["import", `${origin}/cut.tar`, "web/cut:1"]);
      assert.equal(cut.code, 1);
      assert.match(cut.stderr, /cannot download http:.*\/cut\.tar: the connection broke before its end/);
      await daemon.dockerOk(["import", `${origin}/moved.tar`, "web/moved:1"], { timeoutMs: 60_000 });
      // A user's password gets to that server, and nowhere else.
      const secret = origin.replace("://", "://mia:s3cret@");
      const told = await daemon.docker(["import", `${secret}/private.tar?token=s3cret`, "web/private:1"]);
      assert.equal(told.code, 1, told.stdout);
      const made = await daemon.docker(["import", `${secret}/private.tar`, "web/private:1"], {
        timeoutMs: 60_000,
      });
      assert.equal(made.code, 0, made.stderr);
      const comment = await daemon.dockerOk(["history", "--format", "{{.Comment}}", "web/private:1"]);
      assert.equal(comment, `Imported from ${origin}/private.tar`);
      const seen = `${told.stdout}${told.stderr}${made.stdout}${made.stderr}${await daemon.log()}`;
      assert.equal(seen.includes("s3cret"), false);
      await daemon.dockerOk(["rmi", "web/private:1", "web/moved:1"]);
    } finally {
      web.closeAllConnections();
      web.close();
    }
  });
});
