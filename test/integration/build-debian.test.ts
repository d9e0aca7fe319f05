/**
 * Dockerfiles as people write them, on a Debian base and with packages from its mirror: each is built and its image runs.
 * The machine's own network is used, since packages come from outside.
 */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { dockerBuild, type TestFile } from "../helpers/build.ts";
import { flavour } from "../helpers/daemon.ts";
import { debian, ensureDebian } from "../helpers/images.ts";
import { eventually, run } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";
import { realHost } from "../helpers/test-host.ts";

type Files = Readonly<Record<string, TestFile>>;

const isMirrorThere = await fetch("http://deb.debian.org/debian/dists/bookworm/Release", {
  method: "HEAD",
}).then(
  ({ ok }) => ok,
  () => false,
);
const skip = flavour === "docker" || !isMirrorThere ? "needs gantry and Debian's mirror" : false;

/** Packages are fetched once for all of these builds. */
const apt = (packages: string): string =>
  "RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked " +
  `rm -f /etc/apt/apt.conf.d/docker-clean; apt-get update -qq && apt-get install -qq -y --no-install-recommends ${packages}`;

describe("builds on Debian", { skip }, () => {
  const suite = useDaemon({
    host: realHost,
    bridge: "gt-bco-deb",
    bip: "10.206.33.1/24",
    // The machine's own nftables are not only this daemon's.
    leaves: ["data-root", "records", "nftables"],
  });
  before(() => ensureDebian(suite.daemon), { timeout: 300_000 });

  async function built(files: Files, args: readonly string[] = []): Promise<string> {
    const result = await dockerBuild(suite.daemon, files, ["-t", "test/built", ...args]);
    assert.equal(result.code, 0, result.stdout + result.stderr);
    return result.stdout;
  }

  /** What the image writes when it runs as it is, or another command in it. */
  async function output(...command: string[]): Promise<string> {
    const { daemon } = suite;
    const id = await daemon.dockerOk(["run", "-d", "test/built", ...command]);
    await daemon.dockerOk(["wait", id], { timeoutMs: 60_000 });
    const text = await daemon.dockerOk(["logs", id]);
    await daemon.dockerOk(["rm", id]);
    return text;
  }

  test("nginx on a Debian base answers", { timeout: 180_000 }, async () => {
    await built({
      Dockerfile: [
        `FROM ${debian}`,
        "RUN apt-get update",
        "RUN apt-get install -y --no-install-recommends nginx-light",
        "COPY index.html /var/www/html/index.html",
        "EXPOSE 80",
        'CMD ["nginx", "-g", "daemon off;"]',
        "",
      ].join("\n"),
      "index.html": "built here\n",
    });
    const { daemon } = suite;
    const id = await daemon.dockerOk(["run", "-d", "test/built"]);
    const address = await daemon.dockerOk(["inspect", "-f", "{{.NetworkSettings.IPAddress}}", id]);
    await eventually(
      async () =>
        (await run(["busybox", "wget", "-q", "-O", "-", `http://${address}/`])).stdout === "built here\n",
      { what: "the page" },
    );
    await daemon.dockerOk(["rm", "-f", id]);
  });

  test("a program is compiled in one stage and runs alone in another", { timeout: 180_000 }, async () => {
    await built({
      Dockerfile: [
        `FROM ${debian} AS build`,
        apt("gcc libc6-dev"),
        "WORKDIR /src",
        "COPY main.c .",
        "RUN gcc -static -O2 -o /hello main.c",
        "FROM scratch",
        "COPY --from=build /hello /hello",
        'ENTRYPOINT ["/hello"]',
        'CMD ["world"]',
        "",
      ].join("\n"),
      "main.c": '#include <stdio.h>\nint main(int c, char **v) { printf("hello %s\\n", v[1]); return 0; }\n',
    });
    assert.equal(await output(), "hello world");
    assert.equal(await output("you"), "hello you");
  });

  test("ENV, WORKDIR and ADD as for a Java application", async () => {
    await built(
      {
        Dockerfile: [
          `FROM ${debian}`,
          "LABEL maintainer=somebody",
          "ENV APP_HOME /opt/app",
          "ENV PATH $APP_HOME/bin:$PATH",
          "ARG VERSION=1.0",
          "RUN mkdir -p $APP_HOME/bin",
          "WORKDIR $APP_HOME",
          "ADD app-*.jar app.jar",
          "ADD run bin/",
          "VOLUME /tmp",
          "EXPOSE 8080",
          "RUN chmod +x bin/run && echo $VERSION > version",
          'ENTRYPOINT ["run"]',
          "",
        ].join("\n"),
        "app-2.0.jar": "not really\n",
        run: "#!/bin/sh\ncat $APP_HOME/app.jar version; pwd\n",
      },
      ["--build-arg", "VERSION=2.0"],
    );
    assert.equal(await output(), "not really\n2.0\n/opt/app");
  });

  test("Django with a script as its command", { timeout: 240_000 }, async () => {
    await built({
      Dockerfile: [
        `FROM ${debian}`,
        "ENV PYTHONUNBUFFERED=1",
        apt("python3 python3-django"),
        "RUN mkdir /code",
        "WORKDIR /code",
        "COPY start.sh requirements.txt ./",
        "COPY . /code/",
        "RUN django-admin startproject site1 .",
        'CMD ["./start.sh"]',
        "",
      ].join("\n"),
      "requirements.txt": "django\n",
      "start.sh": {
        text: "#!/bin/sh\npython3 manage.py migrate -v 0 && python3 manage.py check\n",
        mode: 0o755,
      },
    });
    assert.match(await output(), /System check identified no issues/);
  });

  test("a virtual environment made in one stage is used in another", { timeout: 240_000 }, async () => {
    await built({
      Dockerfile: [
        `FROM ${debian} AS base`,
        apt("python3"),
        "FROM base AS build",
        apt("python3-venv"),
        "RUN python3 -m venv --without-pip /venv",
        "COPY lib.py /venv/lib/python3.11/site-packages/lib.py",
        "FROM base",
        "COPY --from=build /venv /venv",
        "ENV PATH=/venv/bin:$PATH",
        'CMD ["python3", "-c", "import lib, sys; print(lib.answer, sys.prefix)"]',
        "",
      ].join("\n"),
      "lib.py": "answer = 42\n",
    });
    assert.equal(await output(), "42 /venv");
  });

  const shapes: readonly { name: string; dockerfile: string; files?: Files; output: string }[] = [
    {
      name: "a user of its own with files that are its own",
      dockerfile:
        "RUN groupadd -r app && useradd -r -g app -m app\nWORKDIR /home/app\nCOPY --chown=app:app f ./\nUSER app\nCMD id -un && stat -c %U:%G f",
      files: { f: "" },
      output: "app\napp:app",
    },
    {
      name: "bash with pipefail",
      dockerfile:
        'SHELL ["/bin/bash", "-o", "pipefail", "-c"]\nRUN ! (false | true)\nCMD echo $BASH_VERSINFO',
      output: "5",
    },
    {
      name: "an entrypoint script that executes its command",
      dockerfile: 'COPY --chmod=755 entry /\nENTRYPOINT ["/entry"]\nCMD ["echo", "command"]',
      files: { entry: '#!/bin/sh\necho entry\nexec "$@"\n' },
      output: "entry\ncommand",
    },
    {
      name: "a script in a here-document",
      dockerfile:
        "RUN <<EOF\nset -e\nmkdir -p /a/b\nfor n in 1 2 3; do echo $n >> /a/b/c; done\nEOF\nCMD cat /a/b/c",
      output: "1\n2\n3",
    },
    {
      name: "arguments before FROM, in stages, and labels of them",
      dockerfile: "ARG NAME=x\nARG LONG=${NAME:-none}-long\nENV N=$LONG\nCMD echo $N",
      output: "x-long",
    },
    {
      name: "what a package manager leaves is removed in the same step",
      dockerfile:
        "RUN mkdir -p /var/lib/apt/lists/x && rm -rf /var/lib/apt/lists/*\nCMD ls /var/lib/apt/lists",
      output: "",
    },
  ];
  for (const { name, dockerfile, files = {}, output: wanted } of shapes)
    test(name, async () => {
      await built({ Dockerfile: `FROM ${debian}\n${dockerfile}\n`, ...files });
      assert.equal(await output(), wanted);
    });
});
