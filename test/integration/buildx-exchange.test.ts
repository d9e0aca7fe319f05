/** What an unchanged docker-buildx exchanges with a build: registries, caches, agents and keys, contexts from elsewhere, layouts. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { hostPlatform } from "../../src/oci/platform.ts";
import { copyProgram } from "../helpers/build.ts";
import { findBuildx, useBuildx } from "../helpers/buildx.ts";
import { busybox } from "../helpers/images.ts";
import { mustRun, run, type RunningProgram, type RunResult } from "../helpers/process.ts";
import { hasRegistry, startRegistry, type TestRegistry } from "../helpers/registry.ts";
import { useDaemon } from "../helpers/suite.ts";

const plugin = await findBuildx();
const skip =
  plugin === undefined
    ? "docker-buildx cannot be had"
    : (await hasRegistry())
      ? false
      : "docker-registry is not installed";
const timeoutMs = 120_000;
const hasSsh = (await run(["sh", "-c", "command -v ssh-agent ssh-add ssh-keygen"])).code === 0;

describe("exchanges of docker buildx", { skip }, () => {
  const suite = useDaemon({ leaves: ["data-root", "records"] });
  const at = useBuildx(plugin);
  let registry: TestRegistry;

  before(async () => {
    registry = await startRegistry({ host: suite.daemon.host, port: 5000 });
  });
  after(async () => {
    await registry[Symbol.asyncDispose]();
  });

  const buildx = (args: readonly string[], env: Record<string, string> = {}): Promise<RunResult> =>
    suite.daemon.docker(["buildx", "build", "--builder", "default", "--progress=plain", ...args], {
      timeoutMs,
      env: { ...at.env, ...env },
    });

  async function ok(args: readonly string[], env?: Record<string, string>): Promise<string> {
    const result = await buildx(args, env);
    assert.equal(result.code, 0, `${args.join(" ")}\n${result.stdout}${result.stderr}`);
    return result.stdout + result.stderr;
  }

  const output = (image: string, ...command: string[]): Promise<string> =>
    suite.daemon.dockerOk(["run", "--rm", image, ...command]);

  /** Forgets what was built, the base image excepted. */
  async function forget(...names: string[]): Promise<void> {
    for (const name of names) await suite.daemon.dockerOk(["rmi", "-f", name]);
    await suite.daemon.dockerOk(["builder", "prune", "-af"], { env: at.env });
  }

  test("a result is pushed, and a base image comes from there", async () => {
    const directory = await at.context("push", {
      Dockerfile: `FROM ${busybox}\nRUN echo pushed > /pushed\n`,
    });
    const pushed = await ok(["-t", "127.0.0.1:5000/made/one", "--push", directory]);
    // The builder has pushed: newer clients leave it at that, older ones push again.
    assert.match(pushed, /^#\d+ pushing 127\.0\.0\.1:5000\/made\/one:latest$/m);
    await ok(["-o", "type=registry,name=127.0.0.1:5000/made/two", directory]);
    await forget("127.0.0.1:5000/made/one");
    const above = await at.context("pull", { Dockerfile: "FROM 127.0.0.1:5000/made/one\nRUN cat /pushed\n" });
    const text = await ok([above]);
    assert.match(text, /\d pushed$/m);
    assert.match(text, /FROM 127\.0\.0\.1:5000\/made\/one:latest@sha256:[0-9a-f]{64}/);
  });

  test("a result for several platforms is pushed as one index", async () => {
    const directory = await at.context("platforms", {
      file: "",
      Dockerfile: `FROM --platform=$BUILDPLATFORM ${busybox} AS made\nARG TARGETARCH\nRUN echo $TARGETARCH > /arch\nFROM scratch\nCOPY --from=made /arch /\n`,
    });
    await ok([
      "--platform",
      "linux/amd64,linux/arm64",
      "-t",
      "127.0.0.1:5000/made/both",
      "--push",
      directory,
    ]);
    const program =
      "fetch('http://127.0.0.1:5000/v2/made/both/manifests/latest',{headers:{Accept:'application/vnd.oci.image.index.v1+json'}}).then(async(r)=>console.log(await r.text()))";
    const { stdout } = await suite.daemon.host.run([process.execPath, "-e", program]);
    const { manifests } = JSON.parse(stdout) as { manifests: { platform: { architecture: string } }[] };
    assert.deepEqual(
      manifests.map(({ platform }) => platform.architecture),
      ["amd64", "arm64"],
    );
    // A name that another build has taken since stands for that one alone.
    await ok(["-t", "127.0.0.1:5000/made/both", "--push", directory]);
    const later = await suite.daemon.host.run([process.execPath, "-e", program]);
    assert.doesNotMatch(later.stdout, /"manifests"/);
  });

  test("a base image of another platform is built on, and the build checks say so", async () => {
    const name = "127.0.0.1:5000/made/foreign";
    const base = await at.context("foreign", { file: "", Dockerfile: "FROM scratch\nCOPY file /\n" });
    await ok(["--platform", "linux/ppc64", "-t", name, "--push", base]);
    await forget(name);
    const above = await at.context("above", { file: "", Dockerfile: `FROM ${name}\nCOPY file /above\n` });
    const built = async (image: string, ...flags: string[]): Promise<string> => {
      const text = await ok([...flags, "-t", image, above]);
      assert.match(
        text,
        /InvalidBaseImagePlatform: Base image 127\.0\.0\.1:5000\/made\/foreign was pulled with platform "linux\/ppc64", expected "linux\/\w+" for current build \(line 1\)/,
      );
      return await suite.daemon.dockerOk(["image", "inspect", "-f", "{{.Architecture}}", image]);
    };
    assert.equal((await built("made/above")).trim(), "ppc64");
    assert.equal((await built("made/above-s390x", "--platform", "linux/s390x")).trim(), "s390x");
    await forget("made/above", "made/above-s390x", name);
  });

  test("a base image for several platforms leaves its name to the one of this machine", async () => {
    const name = "127.0.0.1:5000/made/several";
    const platforms = ["--platform", "linux/mips64le,linux/amd64,linux/arm64,linux/s390x"];
    const base = await at.context("several", {
      Dockerfile: "FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n",
    });
    await ok([...platforms, "-t", name, "--push", base]);
    await forget(name);
    const above = await at.context("above-several", { Dockerfile: `FROM ${name}\nCOPY Dockerfile /above\n` });
    await ok([...platforms, "-o", "type=oci,dest=/dev/null", above]);
    const { architecture } = hostPlatform();
    const now = await suite.daemon.dockerOk(["image", "inspect", "-f", "{{.Architecture}}", name]);
    assert.equal(now.trim(), architecture);
    await forget(name);
  });

  const caches: readonly (readonly [string, (work: string) => readonly [string[], string[]]])[] = [
    [
      "registry",
      () => [
        ["--cache-to", "type=registry,ref=127.0.0.1:5000/cache:one,mode=max"],
        ["--cache-from", "type=registry,ref=127.0.0.1:5000/cache:one"],
      ],
    ],
    [
      "inline",
      () => [
        ["--cache-to", "type=inline", "--push"],
        ["--cache-from", "127.0.0.1:5000/cached"],
      ],
    ],
    [
      "local",
      (at) => [
        ["--cache-to", `type=local,dest=${at}/cache,mode=max`],
        ["--cache-from", `type=local,src=${at}/cache`],
      ],
    ],
  ];
  for (const [type, flags] of caches)
    test(`cache goes out and comes in as ${type}`, async () => {
      const directory = await at.context(`cache-${type}`, {
        file: "1\n",
        Dockerfile: `FROM ${busybox}\nRUN echo ${type} > /step\nCOPY file /file\nRUN cat /file >> /step\n`,
      });
      const [to, from] = flags(at.work);
      await ok(["-t", "127.0.0.1:5000/cached", ...to, directory]);
      await forget("127.0.0.1:5000/cached");
      const text = await ok(["-t", "again", ...from, directory]);
      assert.equal(text.match(/ CACHED$/gm)?.length, 4, text);
      assert.equal(await output("again", "cat", "/step"), `${type}\n1`);
      await forget("again");
      // Without it nothing is known any more.
      assert.equal((await ok(["-t", "again", directory])).match(/ CACHED$/gm)?.length, 1);
    });

  test("agents and key files are there for their steps, and only there", { skip: !hasSsh }, async () => {
    const key = join(at.work, "key");
    await mustRun(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "of the agent", "-f", key]);
    const directory = await at.context("ssh", {
      Dockerfile: [
        "FROM scratch",
        "COPY programs /",
        'RUN --mount=type=ssh ["/usr/bin/ssh-add", "-L"]',
        'RUN --mount=type=ssh,id=file,required,target=/tmp/agent --mount=type=tmpfs,target=/x ["/usr/bin/ssh-add", "-L"]',
        `FROM ${busybox}`,
        "RUN --mount=type=ssh,id=missing test -z $SSH_AUTH_SOCK",
        "RUN test ! -e /run/buildkit",
        "",
      ].join("\n"),
    });
    await copyProgram("/usr/bin/ssh-add", join(directory, "programs"));
    const socket = join(at.work, "agent.sock");
    const agent = suite.daemon.host.start(["ssh-agent", "-D", "-a", socket]);
    try {
      await agent.waitForOutput(/SSH_AUTH_SOCK/);
      await mustRun(["ssh-add", "-q", key], { env: { SSH_AUTH_SOCK: socket } });
      const ssh = ["--ssh", "default", "--ssh", `file=${key}`];
      const text = await ok(["--no-cache", "--target", "0", ...ssh, directory], { SSH_AUTH_SOCK: socket });
      assert.equal(text.match(/\d ssh-ed25519 \S+(?: of the agent)? *$/gm)?.length, 2, text);
      await ok([...ssh, directory], { SSH_AUTH_SOCK: socket });
      const refused = await buildx(["--no-cache", "--target", "0", "--ssh", "default", directory], {
        SSH_AUTH_SOCK: socket,
      });
      assert.match(refused.stderr, /no SSH key "file" forwarded from the client/);
    } finally {
      agent.process.kill();
      await agent.wait();
    }
  });

  test("bake: a target stands on the result of another", async () => {
    const directory = await at.context("bake", {
      "docker-bake.hcl": [
        'group "default" {\n  targets = ["app"]\n}',
        'target "base" {\n  context = "base"\n}',
        'target "app" {\n  contexts = { base = "target:base" }\n  tags = ["baked"]\n}',
        "",
      ].join("\n"),
      "base/Dockerfile": `FROM ${busybox}\nENV FROM_BASE=yes\nRUN echo base > /base\n`,
      Dockerfile: "FROM base\nRUN test $FROM_BASE = yes\nCOPY --from=base /base /again\n",
    });
    const result = await suite.daemon.docker(["buildx", "bake", "--progress=plain"], {
      timeoutMs,
      cwd: directory,
      env: at.env,
    });
    assert.equal(result.code, 0, result.stdout + result.stderr);
    assert.equal(await output("baked", "cat", "/again"), "base");
  });

  describe("with contexts from elsewhere", () => {
    let server: RunningProgram;
    let address: string;

    before(async () => {
      const git = (...args: string[]): Promise<RunResult> =>
        mustRun(["git", "-c", "user.name=x", "-c", "user.email=x@localhost", ...args], { cwd: repository });
      const repository = await at.context("served/repository", {
        Dockerfile: `FROM ${busybox}\nCOPY . /src\nRUN cat /src/version\n`,
        version: "first\n",
        "sub/Dockerfile": `FROM ${busybox}\nCOPY . /sub\nRUN ls /sub\n`,
        "sub/inside": "",
      });
      await git("init", "-q", "-b", "main", ".");
      await git("add", ".");
      await git("commit", "-qm", "one");
      await git("tag", "v1");
      await writeFile(join(repository, "version"), "second\n");
      await git("commit", "-qam", "two");
      const served = join(at.work, "served");
      await mustRun(["git", "clone", "-q", "--bare", repository, join(served, "app.git")]);
      await mustRun(["git", "-C", join(served, "app.git"), "update-server-info"]);
      await mustRun(["tar", "-C", repository, "--exclude=.git", "-czf", join(served, "app.tgz"), "."]);
      await writeFile(join(served, "recipe"), `FROM ${busybox}\nRUN echo from a recipe\n`);
      const program = join(import.meta.dirname, "../helpers/serve-files.ts");
      server = suite.daemon.host.start([process.execPath, program, served]);
      await server.waitForOutput(/^\d+\n/);
      address = `http://127.0.0.1:${server.stdout().trim()}`;
    });
    after(async () => {
      server.process.kill();
      await server.wait();
    });

    const wanted: readonly (readonly [string, string, RegExp])[] = [
      ["a repository", "/app.git", /\d second$/m],
      ["a tag of it", "/app.git#v1", /\d first$/m],
      ["a directory of it", "/app.git#main:sub", /\d inside$/m],
      ["an archive", "/app.tgz", /\d second$/m],
      ["a Dockerfile alone", "/recipe", /\d from a recipe$/m],
    ];
    for (const [name, path, text] of wanted)
      test(name, async () => assert.match(await ok(["--no-cache", address + path]), text));

    const refused: readonly (readonly [string, RegExp])[] = [
      ["/nothing.tgz", /cannot download .*: the server answered 404/],
      ["/app.git#nowhere", /has no ref nowhere/],
      ["/app.git#main:nowhere", /has no directory nowhere/],
    ];
    for (const [path, words] of refused)
      test(`refused: ${path}`, async () => {
        const result = await buildx([address + path]);
        assert.equal(result.code, 1);
        assert.match(result.stderr, words);
      });

    test("a Dockerfile at an address, with a directory of the client's", async () => {
      const directory = await at.context("own", { file: "" });
      assert.match(await ok(["--no-cache", "-f", `${address}/recipe`, directory]), /\d from a recipe$/m);
    });

    test("further contexts of all kinds", async () => {
      const layout = join(at.work, "layout");
      const base = await at.context("base", { Dockerfile: `FROM ${busybox}\nRUN echo base > /base\n` });
      await ok(["-o", `type=oci,dest=${layout},tar=false,name=local/base:1`, base]);
      const index = JSON.parse(await readFile(join(layout, "index.json"), "utf8")) as {
        manifests: { digest: string }[];
      };
      const directory = await at.context("named", {
        Dockerfile: [
          "FROM base",
          "COPY --from=repository version /1",
          "COPY --from=archive version /2",
          "COPY --from=image /base /3",
          `ADD ${address}/app.git#v1 /4`,
          `ADD ${address}/recipe /5`,
          "RUN cat /base /1 /2 /3 /4/version /5",
          "",
        ].join("\n"),
      });
      const text = await ok([
        "--build-context",
        `base=oci-layout://${layout}@${index.manifests[0]!.digest}`,
        "--build-context",
        `image=oci-layout://${layout}:1`,
        "--build-context",
        `repository=${address}/app.git#v1`,
        "--build-context",
        `archive=${address}/app.tgz`,
        directory,
      ]);
      assert.match(text, new RegExp(`^#\\d+ ${address}/recipe$`, "m"));
      const lines = [...text.matchAll(/^#\d+ [\d.]+ (.*)$/gm)].map(([, line]) => line);
      const expected = [
        "base",
        "first",
        "second",
        "base",
        "first",
        `FROM ${busybox}`,
        "RUN echo from a recipe",
      ];
      assert.deepEqual(lines, expected);
    });
  });
});
