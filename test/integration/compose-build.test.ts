/** Images that compose builds, and what it hands to containers. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ComposeProject, service } from "../helpers/compose.ts";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

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
