import assert from "node:assert/strict";
import { test } from "node:test";
import { notFound } from "../base/errors.ts";
import type { BuildEvent } from "./build.ts";
import { testBuilder, type TestBuilder, vertices } from "./builder.fixture.ts";

const warnings = (events: readonly BuildEvent[]): string[] =>
  events.flatMap((event) => (event.kind === "warning" ? [event.short] : []));

const image = (name: string) => ({ exports: [{ type: "image", names: [name] }] as const });

/** A registry that has nothing. */
function withoutRegistry({ host }: TestBuilder): void {
  Object.assign(host, {
    // eslint-disable-next-line require-yield
    pull: async function* () {
      throw notFound("no registry has it");
    },
  });
}

test("build checks know what the base image sets", async () => {
  await using it = await testBuilder();
  await it.build({ Dockerfile: "FROM scratch\nENV HOME_OF=/opt\nCOPY a /a\n", a: "" }, image("test/base:1"));
  const { events } = await it.build({
    Dockerfile: "FROM test/base:1\nENV A=$HOME_OF B=$HOME_FO C=${HOME_OF:?missing}\n",
  });
  assert.deepEqual(warnings(events), [
    "UndefinedVar: Usage of undefined variable '$HOME_FO' (did you mean $HOME_OF?) (line 2)",
  ]);
});

test("a shell that somebody has chosen is meant, in the stage, the one below or the base image", async () => {
  await using it = await testBuilder();
  const shell = 'SHELL ["/bin/sh", "-ec"]';
  const found = async (text: string): Promise<number> => {
    const { events } = await it.build({ Dockerfile: text, a: "" }, image("test/shell:1"));
    return warnings(events).filter((short) => short.startsWith("JSONArgsRecommended: ")).length;
  };
  assert.equal(await found("FROM scratch\nCOPY a /a\nCMD echo\nENTRYPOINT echo\n"), 2);
  assert.equal(await found(`FROM scratch\nCOPY a /a\n${shell}\nCMD echo\nENTRYPOINT echo\n`), 0);
  assert.equal(await found("FROM test/shell:1\nCMD echo\n"), 0);
  assert.equal(await found(`FROM scratch AS one\nCOPY a /a\n${shell}\nFROM one\nCMD echo\n`), 0);
  assert.equal(await found(`FROM scratch\nCOPY a /a\nCMD echo\n${shell}\n`), 1);
});

test("findings about the base fail a strict build before its first step", async () => {
  await using it = await testBuilder();
  await it.build({ Dockerfile: "FROM scratch\nCOPY a /a\n", a: "" }, image("test/base:1"));
  const told: BuildEvent[] = [];
  await assert.rejects(
    it.build(
      { Dockerfile: "# check=error=true\nFROM test/base:1\nCOPY b /b\nENV A=$NOWHERE\n", b: "" },
      { onEvent: (event) => told.push(event) },
    ),
    /lint violation found for rules: UndefinedVar/,
  );
  assert.deepEqual(vertices(told), []);
});

test("an image of another platform is built on, with a word; a platform that was asked for must be had", async () => {
  await using it = await testBuilder();
  withoutRegistry(it);
  const platforms = [{ os: "linux", architecture: "ppc64" }];
  const empty = { Dockerfile: "FROM scratch\nCOPY a /a\n", a: "" };
  await it.build(empty, { ...image("test/other:1"), platforms });
  const files = { Dockerfile: "FROM test/other:1\nCOPY b /b\n", b: "" };
  const { events, images } = await it.build(files);
  assert.match(
    warnings(events).join(),
    /^InvalidBaseImagePlatform: Base image test\/other:1 was pulled with platform "linux\/ppc64", expected "linux\/\w+" for current build \(line 1\)$/,
  );
  assert.equal(images[0]?.config.architecture, "ppc64");
  await assert.rejects(it.build(files, { platforms: [{ os: "linux", architecture: "s390x" }] }), {
    message: /^failed to resolve source metadata for docker.io\/test\/other:1: no registry has it$/,
    hint: /that is here is for linux\/ppc64, and linux\/s390x was asked for/,
  });
});
