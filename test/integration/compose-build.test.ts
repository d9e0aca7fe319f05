/** Images that compose builds, and what it hands to containers. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ComposeProject, service } from "../helpers/compose.ts";
import { busybox } from "../helpers/images.ts";
import { hasRegistry, startRegistry } from "../helpers/registry.ts";
import { useDaemon } from "../helpers/suite.ts";

/** `htpasswd -nbB robot sesame`. */
const htpasswd = "robot:$2y$05$CbwP6Gxu4IJHnlEMYJCGEO3pOr5IrUI3X0N6jTkAyI/HpjCP9T4J.";

describe("compose that builds", () => {
  // Builds leave their cache.
  const suite = useDaemon({ leaves: ["data-root", "exec-root"] });

  test("builds an image, and hands configurations, secrets and hooks to a container", async () => {
    const files = {
      "compose.yaml": `
services:
  app:
    build: { context: ., args: { WORD: hello } }
    command: ${service("cat /word")}
    configs: [ { source: settings, target: /etc/settings } ]
    secrets: [ token, { source: file, target: other } ]
    post_start: [ { command: "sh -c 'echo started > /hook'" } ]
    pre_stop: [ { command: "sh -c 'echo stopping > /proc/1/fd/1'" } ]
configs: { settings: { content: "a = \${NUMBER}" } }
secrets: { token: { environment: TOKEN }, file: { file: ./secret.txt } }
`,
      Dockerfile: `FROM ${busybox}\nARG WORD\nRUN echo "$WORD" > /word\nCOPY kept /kept\n`,
      ".dockerignore": "ignored\n",
      kept: "kept\n",
      ignored: "ignored\n",
      "secret.txt": "in a file",
      ".env": "NUMBER=7\nTOKEN=in a variable\n",
    };
    await using app = await ComposeProject.make(suite.daemon, files);
    await app.ok(["up", "-d", "--build"]);
    const show = (path: string): Promise<string> => app.ok(["exec", "-T", "app", "cat", path]);
    assert.equal(await show("/word"), "hello\n");
    assert.equal(await show("/etc/settings"), "a = 7");
    assert.equal(await show("/run/secrets/token"), "in a variable");
    assert.equal(await show("/run/secrets/other"), "in a file");
    assert.equal(await show("/hook"), "started\n");
    await app.ok(["stop"]);
    assert.match(await app.ok(["logs", "app"]), /stopping/);
    await app.ok(["down", "--rmi", "local"]);
    assert.equal(await suite.daemon.dockerOk(["images", "-q", "shop-app"]), "");
  });

  for (const [builder, environment] of [
    ["POST /build", { DOCKER_BUILDKIT: "0" }],
    ["BuildKit's protocol", { DOCKER_BUILDKIT: "1" }],
  ] as const) {
    test(`knows the keys of build, by ${builder}`, async () => {
      const files = {
        "context/compose.yaml": "",
        "compose.yaml": `
services:
  app:
    build:
      context: ./context
      dockerfile: ../Other
      target: wanted
      args: [ WORD=hello, "FROM_ENVIRONMENT" ]
      labels: { team: shop }
      tags: [ "shop-app:extra" ]
      network: none
      extra_hosts: [ "elsewhere:192.0.2.7" ]
      shm_size: 32mb
      ulimits: { nofile: { soft: 123, hard: 456 } }
      cache_from: [ "shop-app:extra" ]
      pull: false
      no_cache: true
      platforms: [ linux/amd64 ]
`,
        Other: `FROM ${busybox} AS wanted
ARG WORD
ARG FROM_ENVIRONMENT
RUN echo "$WORD $FROM_ENVIRONMENT" > /seen && ulimit -Sn >> /seen && grep elsewhere /etc/hosts >> /seen && ls /sys/class/net >> /seen && df -m /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2 >> /seen
FROM wanted
RUN echo too far > /seen
`,
      };
      await using app = await ComposeProject.make(suite.daemon, files);
      await app.ok(["build"], { env: { ...environment, FROM_ENVIRONMENT: "world" } });
      const lines = (await suite.daemon.dockerOk(["run", "--rm", "shop-app:extra", "cat", "/seen"])).split(
        "\n",
      );
      const [words, limit, host, ...rest] = lines.map((line) => line.trim());
      assert.deepEqual([words, limit, rest], ["hello world", "123", ["lo", "32"]]);
      assert.match(host!, /^192\.0\.2\.7\s+elsewhere$/);
      const labels = await suite.daemon.dockerOk(["inspect", "-f", "{{json .Config.Labels}}", "shop-app"]);
      const { team, "com.docker.compose.service": named } = JSON.parse(labels) as Record<string, string>;
      assert.deepEqual([team, named], ["shop", "app"]);
      await suite.daemon.dockerOk(["rmi", "shop-app", "shop-app:extra"]);
    });
  }

  test("takes base images from a registry that wants a login", async (context) => {
    if (!(await hasRegistry())) return context.skip("docker-registry is not installed");
    await using registry = await startRegistry({ host: suite.daemon.host, port: 5000, htpasswd });
    const base = `${registry.address}/team/base:1`;
    const files = {
      "compose.yaml": "services: { app: { build: . } }\n",
      Dockerfile: `FROM ${base}\nRUN echo built > /built\n`,
      "login/config.json": JSON.stringify({
        auths: { [registry.address]: { auth: Buffer.from("robot:sesame").toString("base64") } },
      }),
    };
    await using app = await ComposeProject.make(suite.daemon, files);
    const login = { env: { DOCKER_CONFIG: `${app.directory}/login` } };
    await suite.daemon.dockerOk(["tag", busybox, base]);
    await suite.daemon.dockerOk(["push", base], login);
    await suite.daemon.dockerOk(["rmi", base]);
    for (const builder of ["0", "1"]) {
      const build = ["build", "--pull", "--no-cache"];
      const without = await app.run(build, {
        env: { DOCKER_BUILDKIT: builder, DOCKER_CONFIG: `${app.directory}/none` },
      });
      assert.notEqual(without.code, 0, without.stderr);
      await app.ok(build, { env: { DOCKER_BUILDKIT: builder, ...login.env } });
    }
    await suite.daemon.docker(["rmi", base, "shop-app"]);
  });
});

describe("compose that builds in a session", () => {
  const suite = useDaemon({ leaves: ["data-root", "exec-root"] });

  test("secrets, further contexts and the images of other services", async () => {
    const files = {
      "compose.yaml": `
services:
  app:
    build:
      context: .
      dockerfile_inline: |
        FROM ${busybox}
        RUN --mount=type=secret,id=token cat /run/secrets/token > /token
        COPY --from=more file /file
        COPY --from=base /made /made
        CMD ["cat", "/token", "/file", "/made"]
      secrets: [ token ]
      additional_contexts: { more: ./more, base: "service:base" }
  base:
    build: { context: ., dockerfile_inline: "FROM ${busybox}\\nRUN echo made > /made\\n" }
    command: "true"
secrets: { token: { environment: TOKEN } }
`,
      "more/file": "of another directory\n",
      ".env": "TOKEN=secret\n",
    };
    await using app = await ComposeProject.make(suite.daemon, files);
    await app.ok(["build"]);
    assert.equal(await app.ok(["run", "--rm", "app"]), "secretof another directory\nmade\n");
  });
});
