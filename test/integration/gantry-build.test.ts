/** `gantry build` and its kin: contexts of all kinds, outputs, secrets, questions, errors, and what an unchanged context costs. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { copyProgram } from "../helpers/build.ts";
import { flavour } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { type RunOptions, type RunResult, mustRun, run } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

const timeoutMs = 90_000;
const hasSsh = (await run(["sh", "-c", "command -v ssh-agent ssh-add ssh-keygen"])).code === 0;

describe("gantry build", { skip: flavour === "docker" }, () => {
  // Images and the build cache are what builds leave.
  const suite = useDaemon({ leaves: ["data-root", "records"] });
  let work: string;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), "gantry-build-test-"));
  });
  after(() => rm(work, { recursive: true, force: true }));

  async function context(name: string, files: Readonly<Record<string, string>>): Promise<string> {
    const directory = join(work, name);
    for (const [path, text] of Object.entries(files)) {
      await mkdir(join(directory, path, ".."), { recursive: true });
      await writeFile(join(directory, path), text);
    }
    return directory;
  }

  const gantry = (args: readonly string[], options: RunOptions = {}): Promise<RunResult> =>
    suite.daemon.gantry(args, { timeoutMs, ...options });

  async function ok(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const result = await gantry(args, options);
    assert.equal(result.code, 0, `${args.join(" ")}\n${result.stdout}${result.stderr}`);
    return result.stdout + result.stderr;
  }

  const runs = (image: string, ...command: string[]): Promise<string> =>
    suite.daemon.dockerOk(["run", "--rm", image, ...command]);

  test("options of the image and of its steps do what they say", async () => {
    const directory = await context("options", {
      Dockerfile:
        `FROM ${busybox} AS base\nARG WHO\nRUN echo "$WHO" > /who && grep "10.9.8.7.*db" /etc/hosts && grep "[0-9].*me" /etc/hosts\n` +
        "RUN test $(ulimit -n) = 123\nRUN df -k /dev/shm | grep -q 32768\n" +
        "FROM base AS wanted\nENV STAGE=wanted\nFROM base AS last\nRUN false\n",
    });
    const args = ["build", "-t", "options:1", "-t", "options:2", "--target", "wanted", "--build-arg", "WHO"];
    const more = [
      "--label",
      "a=b",
      "--add-host",
      "db:10.9.8.7",
      "--add-host",
      "me:host-gateway",
      "--ulimit",
      "nofile=123:456",
      "--shm-size",
      "32m",
    ];
    await ok([...args, ...more, "--iidfile", join(work, "id"), directory], { env: { WHO: "environment" } });
    const [image] = JSON.parse(await suite.daemon.dockerOk(["image", "inspect", "options:2"])) as {
      Id: string;
      Config: { Labels: Record<string, string>; Env: string[] };
    }[];
    assert.equal(image?.Id, await readFile(join(work, "id"), "utf8"));
    assert.equal(image?.Config.Labels["a"], "b");
    assert.ok(image?.Config.Env.includes("STAGE=wanted"));
    assert.equal(await runs("options:1", "cat", "/who"), "environment");
  });

  test("an unchanged context sends its listing alone, a changed one the changed file", async () => {
    const directory = await context("unchanged", {
      Dockerfile: `FROM ${busybox}\nCOPY . /c\n`,
      big: "x".repeat(3_000_000),
      small: "1",
    });
    const sentBytes = async (): Promise<number> => {
      const shown = await ok(["build", "--progress=rawjson", directory]);
      const statuses = shown
        .split("\n")
        .filter((line) => line.startsWith("{"))
        .flatMap(
          (line) =>
            (JSON.parse(line) as { statuses?: { vertex: string; id: string; current: number }[] }).statuses ??
            [],
        );
      return Math.max(
        0,
        ...statuses.filter(({ id }) => id.startsWith("transferring context")).map(({ current }) => current),
      );
    };
    assert.ok((await sentBytes()) >= 3_000_000);
    assert.ok((await sentBytes()) < 100_000);
    await writeFile(join(directory, "small"), "2");
    assert.ok((await sentBytes()) < 100_000);
    assert.equal((await gantry(["build", "-q", "-t", "unchanged", directory])).code, 0);
    assert.equal(await runs("unchanged", "cat", "/c/small"), "2");
  });

  test("contexts come by standard input, as a tar or a Dockerfile, and Dockerfiles from elsewhere", async () => {
    const directory = await context("piped", {
      Dockerfile: `FROM ${busybox}\nCOPY file /file\n`,
      file: "in the tar\n",
    });
    const tar = (await mustRun(["tar", "cz", "-C", directory, "."])).stdoutBytes;
    await ok(["build", "-t", "piped:tar", "-"], { input: tar });
    assert.equal(await runs("piped:tar", "cat", "/file"), "in the tar");
    await ok(["build", "-t", "piped:text", "-"], { input: `FROM ${busybox}\nENV FROM_TEXT=1\n` });
    assert.match(await runs("piped:text", "env"), /FROM_TEXT=1/);
    await ok(["build", "-t", "piped:file", "-f", "-", directory], {
      input: `FROM ${busybox}\nCOPY file /other\n`,
    });
    assert.equal(await runs("piped:file", "cat", "/other"), "in the tar");
    await writeFile(join(directory, "Other.Dockerfile"), `FROM ${busybox}\nCOPY . /c\n`);
    await writeFile(join(directory, "Other.Dockerfile.dockerignore"), "file\n");
    await ok(["build", "-t", "piped:other", "-f", "Other.Dockerfile", directory]);
    assert.doesNotMatch(await runs("piped:other", "ls", "/c"), /^file$/m);
    // Rules that lie beside a Dockerfile elsewhere are not the context's.
    const elsewhere = await context("elsewhere", {
      Dockerfile: `FROM ${busybox}\nCOPY . /c\n`,
      ".dockerignore": "file\n",
    });
    await ok(["build", "-t", "piped:elsewhere", "-f", join(elsewhere, "Dockerfile"), directory]);
    assert.match(await runs("piped:elsewhere", "ls", "/c"), /^file$/m);
  });

  test("secrets are there for their steps", async () => {
    const directory = await context("secrets", {
      Dockerfile:
        `FROM ${busybox}\nRUN --mount=type=secret,id=file grep from-file /run/secrets/file\n` +
        'RUN --mount=type=secret,id=var,env=VALUE test "$VALUE" = from-environment\n',
    });
    await writeFile(join(work, "secret"), "from-file");
    const secrets = ["--secret", `id=file,src=${join(work, "secret")}`, "--secret", "id=var,env=MY_SECRET"];
    await ok(["build", ...secrets, directory], { env: { MY_SECRET: "from-environment" } });
  });

  test("an agent is started for keys, and ends with the build", { skip: !hasSsh }, async () => {
    const key = join(work, "key");
    await mustRun(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]);
    const directory = await context("keys", {
      Dockerfile: 'FROM scratch\nCOPY programs /\nRUN --mount=type=ssh,required ["/usr/bin/ssh-add", "-L"]\n',
    });
    await copyProgram("/usr/bin/ssh-add", join(directory, "programs"));
    const [, shown = ""] = (await readFile(`${key}.pub`, "utf8")).split(" ");
    const output = await ok(["build", "--progress", "plain", "--ssh", `default=${key}`, directory]);
    assert.match(output, new RegExp(`ssh-ed25519 ${RegExp.escape(shown)}`));
    const refused = await gantry(["build", "--ssh", `default=${key}.none`, directory]);
    assert.match(refused.stderr, /failed to open .*key\.none: no such file or directory/);
  });

  test("cache, contexts and results are OCI layouts of the client's", async () => {
    const cache = join(work, "cache");
    const layout = join(work, "layout");
    const directory = await context("layouts", {
      file: "1",
      Dockerfile: `FROM ${busybox}\nRUN echo made > /made\nCOPY file /file\n`,
    });
    await ok(["build", "--cache-to", `type=local,dest=${cache},mode=max`, "-t", "layouts", directory]);
    await ok(["build", "-o", `type=oci,dest=${layout},tar=false,name=x/y:z`, directory]);
    await suite.daemon.dockerOk(["rmi", "layouts"]);
    await ok(["builder", "prune", "-af"]);
    const from = ["--cache-from", `type=local,src=${cache}`, "--progress", "plain"];
    const again = await ok(["build", ...from, directory]);
    assert.match(again, /RUN echo made > \/made\n#\d+ CACHED/);
    assert.match(again, /COPY file \/file\n#\d+ CACHED/);
    const above = await context("above", { Dockerfile: "FROM base\nRUN grep made /made\n" });
    await ok(["build", "--build-context", `base=oci-layout://${layout}:z`, above]);
    const missing = await gantry(["build", "--build-context", `base=oci-layout://${cache}x`, above]);
    assert.match(missing.stderr, /is no OCI layout: it has no index\.json/);
  });

  test("results go to directories and archives, to standard output too", async () => {
    const directory = await context("outputs", {
      Dockerfile: `FROM ${busybox} AS made\nRUN mkdir -p /o/d && echo text > /o/d/f && chmod 640 /o/d/f && ln -s d/f /o/l\nFROM scratch\nCOPY --from=made /o /\n`,
    });
    await ok(["build", "--output", join(work, "out"), directory]);
    assert.equal(await readFile(join(work, "out", "l"), "utf8"), "text\n");
    const archive = await gantry(["build", "-o", "-", directory]);
    const names = (await mustRun(["tar", "tv"], { input: archive.stdoutBytes })).stdout;
    assert.match(names, /-rw-r----- .* d\/f/);
    await ok(["build", "-t", "outputs", "-o", `type=docker,dest=${join(work, "image.tar")}`, directory]);
    assert.match((await mustRun(["tar", "tf", join(work, "image.tar")])).stdout, /manifest\.json/);
    await ok(["build", "-t", "outputs", "--metadata-file", join(work, "metadata"), directory]);
    const metadata = JSON.parse(await readFile(join(work, "metadata"), "utf8")) as Record<string, unknown>;
    assert.match(String(metadata["containerimage.config.digest"]), /^sha256:/);
  });

  test("failures say where in the Dockerfile, with the step's last words", async () => {
    const failing = await context("failing", {
      Dockerfile: `FROM ${busybox}\nRUN echo last words; exit 9\n`,
    });
    const result = await gantry(["build", failing]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /------\n > \[2\/2\] RUN .*\n[\d.]+ last words\n------\nDockerfile:2\n/);
    assert.match(result.stderr, /2 \| >>> RUN echo last words; exit 9/);
    assert.match(result.stderr, /did not complete successfully: exit code: 9/);
    const table: [string, string[], RegExp][] = [
      ["RNU x\n", [], /unknown instruction: RNU \(did you mean RUN\?\)/],
      ["COPY nothing /x\n", [], /nothing/],
      ["COPY --from=later /a /b\nFROM scratch AS later\n", ["--target", "base"], /later/],
      ["RUN true\n", ["--target", "bsae"], /target stage "bsae" could not be found/],
      ["RUN true\n", ["--network", "bridge"], /network mode "bridge" not supported/],
      ["RUN true\n", ["--sbom", "true"], /SBOM/],
      ["RUN true\n", ["-f", "None"], /None/],
    ];
    for (const [index, [text, flags, expected]] of table.entries()) {
      const directory = await context(`fault-${index}`, { Dockerfile: `FROM ${busybox} AS base\n${text}` });
      const fault = await gantry(["build", ...flags, directory]);
      assert.notEqual(fault.code, 0, text);
      assert.match(fault.stderr, expected);
    }
  });

  test("a link out of the context leads nowhere", async () => {
    const directory = await context("escape", { Dockerfile: `FROM ${busybox}\nCOPY out/passwd /x\n` });
    await symlink("/etc", join(directory, "out"));
    const result = await gantry(["build", directory]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /out\/passwd/);
  });

  test("questions are answered without a build", async () => {
    const directory = await context("questions", {
      Dockerfile: `# app is the program\nFROM ${busybox} AS app\nARG COLOUR=red\nFROM app as Last\nCMD echo hi\nENV WAY=$PTAH\n`,
    });
    const checked = await gantry(["build", "--check", directory]);
    assert.equal(checked.code, 1);
    assert.match(checked.stdout, /^Check complete, 4 warnings have been found!\n/);
    // The base image says which variables there are.
    assert.match(checked.stdout, /^Usage of undefined variable '\$PTAH' \(did you mean \$PATH\?\)$/m);
    assert.match(
      checked.stdout,
      /WARNING: StageNameCasing - https:.*\nStage name 'Last' should be lowercase\nDockerfile:4\n/,
    );
    assert.match(await ok(["build", "--call", "targets", directory]), /app +the program|app +is the program/);
    assert.match(await ok(["build", "--call", "outline", "--target", "app", directory]), /COLOUR +red/);
    const json = JSON.parse(await ok(["build", "--call", "targets,format=json", directory])) as {
      targets: { name: string }[];
    };
    assert.deepEqual(
      json.targets.map(({ name }) => name),
      ["app", "last"],
    );
  });

  test("the cache is listed, and goes when it is pruned", async () => {
    await ok(["build", await context("cached", { Dockerfile: `FROM ${busybox}\nRUN echo kept > /kept\n` })]);
    assert.match(await ok(["buildx", "du", "--verbose"]), /RUN echo kept/);
    assert.match(await ok(["buildx", "ls"]), /default\* +docker/);
    assert.match(await ok(["buildx", "prune", "--all", "--force"]), /Total:\s+\S+B/);
    assert.doesNotMatch(await ok(["buildx", "du", "--verbose"]), /RUN echo kept/);
  });
});
