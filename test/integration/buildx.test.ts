/** An unchanged docker-buildx builds here by BuildKit's own protocol: files, secrets, exporters, progress, errors. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { findBuildx, useBuildx } from "../helpers/buildx.ts";
import { busybox } from "../helpers/images.ts";
import type { RunResult } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

const plugin = await findBuildx();
const skip = plugin === undefined ? "docker-buildx cannot be had" : false;
const timeoutMs = 90_000;

describe("docker buildx", { skip }, () => {
  // Images and the build cache are what builds leave.
  const suite = useDaemon({ leaves: ["data-root", "records"] });
  const at = useBuildx(plugin);

  const buildx = (args: readonly string[], options: { input?: string | Buffer } = {}): Promise<RunResult> =>
    suite.daemon.docker(["buildx", ...args], {
      timeoutMs,
      ...options,
      env: {
        ...at.env,
        // Version 0.13 has --print among its experiments.
        ...(args.some((arg) => arg.startsWith("--print")) ? { BUILDX_EXPERIMENTAL: "1" } : {}),
      },
    });

  async function ok(...args: string[]): Promise<string> {
    const result = await buildx(args);
    assert.equal(result.code, 0, `${args.join(" ")}\n${result.stdout}${result.stderr}`);
    return result.stdout + result.stderr;
  }

  test("a build with several stages runs, is shown step by step, and comes from the cache the second time", async () => {
    const directory = await at.context(
      "stages",
      `FROM ${busybox} AS made\nARG WHO=nobody\nRUN echo "made for $WHO" > /made\n` +
        `FROM ${busybox}\nCOPY --from=made /made /made\nCOPY . /context\nRUN ls -l /context/link\nCMD ["cat", "/made", "/context/sub/file"]\n`,
    );
    await mkdir(join(directory, "sub"), { recursive: true });
    await writeFile(join(directory, "sub", "file"), "of the context\n");
    await symlink("sub/file", join(directory, "link"));
    await writeFile(join(directory, ".dockerignore"), "ignored\n");
    await writeFile(join(directory, "ignored"), "x");
    const args = ["build", "--progress=plain", "--build-arg", "WHO=a test", "-t", "stages:1", directory];
    const first = await ok(...args);
    assert.match(first, /\[made 2\/2\] RUN echo "made for a test" > \/made/);
    assert.match(first, /link -> sub\/file/);
    assert.match(first, /naming to docker\.io\/library\/stages:1/);
    const said = await suite.daemon.dockerOk(["run", "--rm", "stages:1"]);
    assert.equal(said, "made for a test\nof the context");
    const listed = await suite.daemon.dockerOk(["run", "--rm", "stages:1", "ls", "-A", "/context"]);
    assert.deepEqual(listed.split("\n").sort(), [".dockerignore", "Dockerfile", "link", "sub"]);
    const second = await ok(...args);
    assert.match(second, /\[made 2\/2\] RUN .*\n#\d+ CACHED/);
    assert.doesNotMatch(second, /\bDONE 0\.[1-9]s\n.*RUN echo/);
  });

  test("secrets are there for their step alone", async () => {
    const directory = await at.context(
      "secret",
      `FROM ${busybox}\nRUN --mount=type=secret,id=token cat /run/secrets/token | md5sum > /sum\n` +
        "RUN test ! -e /run/secrets/token\n",
    );
    await writeFile(join(at.work, "token"), "very secret");
    await ok("build", "-t", "secret", "--secret", `id=token,src=${join(at.work, "token")}`, directory);
    const image = await suite.daemon.dockerOk(["run", "--rm", "secret", "cat", "/sum"]);
    assert.match(image, /^[0-9a-f]{32}/);
    const history = await suite.daemon.dockerOk(["history", "--no-trunc", "secret"]);
    assert.doesNotMatch(history, /very secret/);
  });

  test("a failing step shows its output, its exit code and the line in the Dockerfile", async () => {
    const directory = await at.context("fails", `FROM ${busybox}\nRUN echo last words; exit 7\n`);
    const result = await buildx(["build", "--progress=plain", directory]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /last words/);
    assert.match(result.stderr, /exit code: 7/);
    assert.match(
      result.stderr,
      /Dockerfile:2\n-{20}\n +1 \| +FROM .*\n +2 \| >>> RUN echo last words; exit 7/,
    );
  });

  test("a Dockerfile with a fault is refused at its place", async () => {
    const directory = await at.context("fault", `FROM ${busybox}\nRNU true\n`);
    const result = await buildx(["build", directory]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /2 \| >>> RNU true/);
    assert.match(result.stderr, /unknown instruction: RNU \(did you mean RUN\?\)/);
  });

  test("results go to a directory, to an archive, and to a file of their id", async () => {
    const directory = await at.context(
      "outputs",
      `FROM ${busybox} AS maker\nRUN mkdir -p /out/d && echo text > /out/d/file && ln -s d/file /out/link\n` +
        "FROM scratch\nCOPY --from=maker /out /\n",
    );
    const place = join(at.work, "out");
    await ok("build", "-o", place, directory);
    assert.equal(await readFile(join(place, "d", "file"), "utf8"), "text\n");
    assert.equal(await readFile(join(place, "link"), "utf8"), "text\n");
    await ok("build", "-o", `type=tar,dest=${join(at.work, "out.tar")}`, directory);
    assert.ok(existsSync(join(at.work, "out.tar")));
    await ok("build", "-o", `type=oci,dest=${join(at.work, "oci.tar")}`, directory);
    assert.ok(existsSync(join(at.work, "oci.tar")));
    const files = [join(at.work, "id"), join(at.work, "metadata.json")] as const;
    await ok("build", "-t", "outputs", "--iidfile", files[0], "--metadata-file", files[1], directory);
    const id = await suite.daemon.dockerOk(["image", "inspect", "-f", "{{.Id}}", "outputs"]);
    assert.equal(await readFile(files[0], "utf8"), id);
    const metadata = JSON.parse(await readFile(files[1], "utf8")) as Record<string, unknown>;
    assert.equal(metadata["containerimage.config.digest"], id);
    // All of them at once.
    const [several, archive] = [join(at.work, "several"), join(at.work, "several.tar")];
    const outputs = [
      `type=local,dest=${several}`,
      `type=tar,dest=${archive}`,
      "type=image,name=outputs:several",
    ];
    await ok("build", ...outputs.flatMap((output) => ["-o", output]), "--metadata-file", files[1], directory);
    assert.equal(await readFile(join(several, "link"), "utf8"), "text\n");
    assert.ok(existsSync(archive));
    const told = JSON.parse(await readFile(files[1], "utf8")) as Record<string, unknown>;
    assert.equal(told["image.name"], "docker.io/library/outputs:several");
    assert.equal(
      told["containerimage.digest"],
      await suite.daemon.dockerOk(["image", "inspect", "-f", "{{.Id}}", "outputs:several"]),
    );
  });

  test("contexts come from standard input, a Dockerfile from another place, more of them by name", async () => {
    const directory = await at.context(
      "other",
      `FROM ${busybox}\nCOPY --from=more file /file\nRUN grep more /file\n`,
    );
    const more = join(at.work, "more");
    await mkdir(more, { recursive: true });
    await writeFile(join(more, "file"), "more\n");
    await ok("build", "--build-context", `more=${more}`, directory);
    const piped = await buildx(["build", "-t", "piped", "-"], { input: `FROM ${busybox}\nENV PIPED=yes\n` });
    assert.equal(piped.code, 0, piped.stderr);
    assert.match(await suite.daemon.dockerOk(["run", "--rm", "piped", "env"]), /PIPED=yes/);
    await writeFile(join(at.work, "elsewhere"), `FROM ${busybox}\nCOPY file /file\nRUN grep more /file\n`);
    await ok("build", "-f", join(at.work, "elsewhere"), more);
  });

  test("questions about a Dockerfile are answered without a build", async () => {
    const directory = await at.context(
      "questions",
      `# app runs it\nFROM ${busybox} AS app\nARG COLOUR=red\nCMD echo\nFROM app as last\nMAINTAINER me\n`,
    );
    assert.match(await ok("build", "--print=targets", directory), /app +runs it\nlast \(default\)/);
    assert.match(await ok("build", "--print=outline", "--target", "app", directory), /COLOUR +red/);
    const lint = await ok("build", "--print=lint", directory);
    assert.match(lint, /FromAsCasing/);
    assert.match(lint, /MaintainerDeprecated/);
    assert.match(lint, /JSONArgsRecommended/);
  });

  test("the builder is listed, with its cache, which goes when it is pruned", async () => {
    assert.match(await ok("ls"), /default\S* +docker/);
    assert.match(await ok("inspect"), /Status: +running/);
    await ok("build", await at.context("cached", `FROM ${busybox}\nRUN echo kept > /kept\n`));
    assert.match(await ok("du", "--verbose"), /RUN echo kept/);
    await ok("prune", "--all", "--force");
    assert.doesNotMatch(await ok("du", "--verbose"), /RUN echo kept/);
  });

  test("a build that its client leaves is ended", async () => {
    const directory = await at.context("left", `FROM ${busybox}\nRUN echo begun; sleep 300\n`);
    const program = suite.daemon.startDocker(["buildx", "build", "--progress=plain", directory], {
      env: at.env,
    });
    const deadline = Date.now() + timeoutMs;
    while (!/\d begun/.test(program.stderr()) && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 20));
    program.process.kill("SIGINT");
    assert.notEqual((await program.wait(timeoutMs)).code, 0);
    // The leak check sees that the step's processes and mounts are gone.
  });
});
