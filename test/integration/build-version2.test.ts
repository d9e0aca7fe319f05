/** `POST /build` with `version=2`: dockerode (and testcontainers with it), and Docker's command line before buildx. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { makeContext, type TestFile } from "../helpers/build.ts";
import { flavour } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { run, type RunResult } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

/** Debian 12's, which knows BuildKit by itself. */
const oldDocker = "/usr/bin/docker";
const version = await run([oldDocker, "--version"]).catch(() => undefined);
const isOld = /version (1[89]|20)\./.test(version?.stdout ?? "");
const timeoutMs = 120_000;

interface Message {
  readonly id?: string;
  readonly aux?: unknown;
  readonly stream?: string;
  readonly error?: string;
}

describe("builds with version=2", { skip: flavour === "docker" }, () => {
  const suite = useDaemon({ leaves: ["data-root", "records"] });
  const files = {
    Dockerfile: `FROM ${busybox} AS made\nARG WHO=nobody\nRUN echo $WHO > /who\nFROM made\nCOPY file /file\nRUN cat /who\n`,
    file: "",
  };

  async function built(
    options: Record<string, unknown>,
    context: Readonly<Record<string, TestFile>> = files,
  ): Promise<Message[]> {
    await using made = await makeContext(context);
    const { client } = suite.daemon;
    const stream = await client.buildImage({ context: made.directory, src: Object.keys(context) }, options);
    // A failed build is told by its last message, too.
    return new Promise((resolve) => {
      client.modem.followProgress(stream, (_error: unknown, output: unknown) => resolve(output as Message[]));
    });
  }

  test("a tar by dockerode becomes an image, with BuildKit's progress", async () => {
    const messages = await built({
      t: "version:2",
      version: "2",
      buildargs: { WHO: "me" },
      labels: { a: "b" },
    });
    const traces = messages.filter(({ id }) => id === "moby.buildkit.trace");
    const text = traces.map(({ aux }) => Buffer.from(String(aux), "base64").toString("latin1")).join("");
    assert.match(text, /RUN echo me > \/who/);
    const { aux } = messages.findLast(({ id }) => id === "moby.image.id") ?? {};
    const { Id, Config } = await suite.daemon.client.getImage("version:2").inspect();
    assert.deepEqual(aux, { ID: Id });
    assert.equal(Config.Labels["a"], "b");
  });

  test("a failure is the last message", async () => {
    const messages = await built({ version: "2" }, { Dockerfile: `FROM ${busybox}\nRUN exit 9\n` });
    assert.match(messages.at(-1)?.error ?? "", /did not complete successfully: exit code: 9/);
  });

  test("outputs that cannot be read are refused before the context is", async () => {
    for (const outputs of ["x", "{}", "[null]", '[{"Type":1}]', '[{"Attrs":[]}]']) {
      const path = `/build?version=2&outputs=${encodeURIComponent(outputs)}`;
      const asked = request({ socketPath: suite.daemon.socket, path, method: "POST", agent: false }).end();
      const [answer] = (await once(asked, "response")) as [IncomingMessage];
      answer.resume();
      await once(answer, "end");
      assert.equal(answer.statusCode, 400, outputs);
    }
  });

  describe("by Docker's command line of old", { skip: isOld ? false : `${oldDocker} is not 20.10` }, () => {
    const docker = (args: readonly string[], input?: string): Promise<RunResult> =>
      run([oldDocker, "-H", `unix://${suite.daemon.socket}`, "build", ...args], {
        timeoutMs,
        env: { DOCKER_BUILDKIT: "1" },
        ...(input === undefined ? {} : { input }),
      });

    test("a directory, with a secret, and to a directory", async () => {
      await using context = await makeContext({
        ...files,
        Dockerfile: `${files.Dockerfile}RUN --mount=type=secret,id=s grep -q hidden /run/secrets/s\n`,
        hidden: "hidden\n",
      });
      const secret = ["--secret", `id=s,src=${join(context.directory, "hidden")}`];
      const result = await docker(["--progress=plain", "-t", "old:1", ...secret, context.directory]);
      assert.equal(result.code, 0, result.stderr);
      assert.match(result.stderr, /\d nobody$/m);
      const quiet = await docker(["-q", ...secret, context.directory]);
      assert.match(quiet.stdout, /^sha256:[0-9a-f]{64}$/m);
      const out = join(context.directory, "out");
      assert.equal((await docker(["-o", out, ...secret, context.directory])).code, 0);
      assert.equal(await readFile(join(out, "who"), "utf8"), "nobody\n");
    });

    test("a Dockerfile on standard input", async () => {
      const result = await docker(["--progress=plain", "-"], `FROM ${busybox}\nRUN echo piped in\n`);
      assert.equal(result.code, 0, result.stderr);
      assert.match(result.stderr, /\d piped in$/m);
    });
  });
});
