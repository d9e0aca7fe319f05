import assert from "node:assert/strict";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { inspect } from "node:util";
import { MemoryBudget } from "../base/memory-budget.ts";
import { type BuildEvent, buildFailureOf, type RemoteDirectory } from "./build.ts";
import { isAllCached, memoryDirectory, testBuilder, vertices } from "./builder.fixture.ts";

const scratch = "FROM scratch\nCOPY a /d/a\nWORKDIR /w\nCOPY b /b\n";

test("a second build takes all from the cache and has the same image; a changed file changes what stands on it", async () => {
  await using it = await testBuilder();
  const first = await it.build({ Dockerfile: scratch, a: "1", b: "2" });
  assert.deepEqual(
    vertices(first.events).map(({ name }) => name),
    ["[1/3] COPY a /d/a", "[2/3] WORKDIR /w", "[3/3] COPY b /b"],
  );
  const second = await it.build({ Dockerfile: scratch, a: "1", b: "2" });
  assert.ok(isAllCached(second.events));
  assert.equal(second.imageId, first.imageId);
  const third = await it.build({ Dockerfile: scratch, a: "1", b: "changed" });
  assert.deepEqual(
    vertices(third.events).map(({ cached }) => cached),
    [true, true, false],
  );
});

test("times of files do not matter to the cache, and an unchanged context sends only metadata", async () => {
  await using it = await testBuilder();
  const files = { Dockerfile: "FROM scratch\nCOPY . /\n", "x/a": "1", b: "2" };
  const first = memoryDirectory(files, "same");
  await it.build({}, { context: first });
  assert.deepEqual(first.asked.toSorted(), ["Dockerfile", "Dockerfile", "b", "x/a"].toSorted());
  const second = memoryDirectory(files, "same");
  const again = await it.build({}, { context: second });
  assert.deepEqual(second.asked, []);
  assert.ok(isAllCached(again.events));
  const changed = memoryDirectory({ ...files, b: "two" }, "same");
  await it.build({}, { context: changed });
  assert.deepEqual(changed.asked, ["b"]);
});

test("--no-cache and --no-cache-filter take nothing from the cache", async () => {
  await using it = await testBuilder();
  const Dockerfile =
    "FROM scratch AS one\nCOPY a /a\nFROM scratch AS two\nCOPY a /b\nCOPY --from=one /a /c\n";
  const files = { Dockerfile, a: "1" };
  await it.build(files);
  const filtered = await it.build(files, { noCacheFilter: ["two"] });
  assert.deepEqual(
    new Set(vertices(filtered.events).map(({ name, cached }) => `${name} ${cached}`)),
    new Set([
      "[one 1/1] COPY a /a true",
      "[two 1/2] COPY a /b false",
      "[two 2/2] COPY --from=one /a /c false",
    ]),
  );
  const none = await it.build(files, { noCache: true });
  assert.ok(vertices(none.events).every(({ cached }) => !cached));
});

test("only the stages that the target needs are built", async () => {
  await using it = await testBuilder();
  const Dockerfile = "FROM scratch AS a\nCOPY f /a\nFROM scratch AS b\nCOPY missing /b\nFROM a\nCOPY f /c\n";
  const { events } = await it.build({ Dockerfile, f: "" });
  assert.ok(!vertices(events).some(({ name }) => name.startsWith("[b ")));
  await assert.rejects(it.build({ Dockerfile, f: "" }, { target: "b" }), /"\/missing": not found/);
});

test("a failure says where it is, ends the other stages, and leaves nothing", async () => {
  await using it = await testBuilder();
  const Dockerfile = "FROM scratch AS a\nCOPY f /a\nCOPY none /x\nFROM scratch\nCOPY --from=a /a /\n";
  await assert.rejects(it.build({ Dockerfile, f: "" }), (error: unknown) => {
    const failure = buildFailureOf(error);
    assert.equal(failure?.ranges[0]?.start.line, 3);
    assert.equal(failure?.source.text, Dockerfile);
    return true;
  });
  assert.ok(it.host.snapshotter.list().every(({ kind }) => kind === "committed"));
});

test("what a failure ended is told as ended, not as failed", async () => {
  await using it = await testBuilder();
  const whole = memoryDirectory({
    Dockerfile: "FROM scratch AS a\nCOPY --from=elsewhere /f /\nFROM scratch\nCOPY --from=a /f /\nCOPY g /\n",
    g: "1",
  });
  // The context's files come when the other stage has failed.
  const context: RemoteDirectory = {
    ...whole,
    async open(options) {
      if (options.include.length > 0) return whole.open(options);
      const { signal } = options;
      if (!signal.aborted)
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      throw new Error("the call was canceled");
    },
  };
  const events: BuildEvent[] = [];
  await assert.rejects(
    it.build({}, { context, exports: [{ type: "none" }], onEvent: (event) => events.push(event) }),
    /asks no registry/,
  );
  const failed = events.flatMap((event) =>
    event.kind === "vertex" && event.error !== undefined ? [`${event.name}: ${event.error}`] : [],
  );
  assert.ok(failed.includes("[internal] load build context: context canceled"), failed.join("\n"));
  assert.equal(failed.filter((line) => !line.endsWith(": context canceled")).length, 1, failed.join("\n"));
});

test("a variable that must have a value is missed at its place", async () => {
  await using it = await testBuilder();
  const table: readonly (readonly [string, number])[] = [
    ["ARG A=${B:?none}\nFROM scratch\n", 1],
    ["FROM scratch\nENV A=1\nENV B=${C?unset}\n", 3],
  ];
  for (const [Dockerfile, line] of table)
    await assert.rejects(it.build({ Dockerfile }), (error: unknown) => {
      assert.equal(buildFailureOf(error)?.ranges[0]?.start.line, line);
      return true;
    });
});

test("SOURCE_DATE_EPOCH makes every time of an image the same", async () => {
  const ids = await Promise.all(
    [1, 2].map(async () => {
      await using it = await testBuilder();
      const { imageId } = await it.build(
        { Dockerfile: scratch, a: "1", b: "2" },
        { buildArgs: { SOURCE_DATE_EPOCH: "1700000000" } },
      );
      return imageId;
    }),
  );
  assert.equal(ids[0], ids[1]);
});

test("pruning keeps what images have, and takes the rest with its layers", async () => {
  await using it = await testBuilder();
  await it.build(
    { Dockerfile: scratch, a: "1", b: "2" },
    { exports: [{ type: "image", names: ["kept:1"] }] },
  );
  await it.build({ Dockerfile: "FROM scratch\nCOPY a /other\n", a: "9" }, { exports: [{ type: "none" }] });
  const before = await it.builder.cacheList();
  assert.equal(before.filter(({ shared }) => shared).length, 3);
  await it.builder.prune({ all: false, filters: {} });
  const after = await it.builder.cacheList();
  assert.deepEqual(
    after.map(({ shared }) => shared),
    [true, true, true],
  );
  await it.builder.prune({ all: true, filters: {} });
  assert.deepEqual(await it.builder.cacheList(), []);
  // The image's own layers stay.
  assert.equal(it.host.snapshotter.list().length, 3);
  for (const { digest } of it.host.images.resolve("kept:1").manifest.layers)
    assert.ok(it.host.content.has(digest));
});

test("a build that is cancelled ends with that, and leaves no active layer", async () => {
  await using it = await testBuilder();
  const stop = new AbortController();
  const building = it.build(
    { Dockerfile: scratch, a: "1", b: "2" },
    { signal: stop.signal, onEvent: () => stop.abort() },
  );
  await assert.rejects(building, /cancel/);
  assert.deepEqual(
    it.host.snapshotter.list().filter(({ kind }) => kind === "active"),
    [],
  );
});

test("above a limit the least recently used goes first, and never what is in use", async () => {
  await using it = await testBuilder();
  const none = { exports: [{ type: "none" }] } as const;
  const build = async (name: string): Promise<void> => {
    const files = { Dockerfile: `FROM scratch\nCOPY ${name} /\n`, [name]: "x".repeat(100_000) };
    await it.build({}, { ...none, context: memoryDirectory(files, name) });
    // Times in records are milliseconds; what was used later must have a later one.
    const before = Date.now();
    while (Date.now() === before) await new Promise((resolve) => setImmediate(resolve));
  };
  await build("one");
  await build("two");
  await build("three");
  await build("one");
  const contexts = (await it.builder.cacheList()).filter(({ type }) => type === "source.local");
  const contextBytes = contexts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  await it.builder.prune({
    all: true,
    filters: { type: ["regular"] },
    maxUsedBytes: contextBytes + 150_000,
  });
  const left = (await it.builder.cacheList()).filter(({ type }) => type === "regular");
  assert.deepEqual(
    left.map(({ description }) => description),
    ["COPY one /"],
  );
});

test("a context that broke off takes no room, and the one before it stays", async () => {
  await using it = await testBuilder();
  const none = { exports: [{ type: "none" }] } as const;
  const contexts = join(it.directory, "build", "contexts");
  const sizes = (): number[] =>
    existsSync(contexts)
      ? readdirSync(contexts).map((name) => statSync(join(contexts, name, "pack")).size)
      : [];
  const broken = (files: Readonly<Record<string, string>>): RemoteDirectory => {
    const whole = memoryDirectory(files);
    return {
      ...whole,
      async open(options) {
        const listing = await whole.open(options);
        return {
          ...listing,
          async *read(file) {
            yield* listing.read(file);
            if (file.path === "broken") throw new Error("the client is gone");
          },
        };
      },
    };
  };
  const files = { Dockerfile: "FROM scratch\nCOPY . /\n", a: "1".repeat(10_000) };
  await assert.rejects(
    it.build({}, { ...none, context: broken({ ...files, broken: "2".repeat(1_000_000) }) }),
    /gone/,
  );
  const dockerfileBytes = Buffer.byteLength(files.Dockerfile);
  assert.deepEqual(sizes(), [dockerfileBytes]);
  await it.build(files, none);
  const before = sizes();
  await assert.rejects(
    it.build({}, { ...none, context: broken({ ...files, broken: "2".repeat(1_000_000) }) }),
    /gone/,
  );
  assert.deepEqual(sizes(), before);
  assert.ok((await it.build(files, none)).events.length > 0);
});

test("nothing of a build's context counts as kept in memory when the build has ended, in whatever way", async () => {
  await using it = await testBuilder();
  const files = { Dockerfile: scratch, a: "1", b: "2" };
  await it.build(files);
  assert.equal(MemoryBudget.keptBytes, 0);
  // A pack of which most is out of date is written anew.
  for (const letter of ["1", "2", "3"]) await it.build({ ...files, a: letter.repeat(12 * 1024 * 1024) });
  assert.equal(MemoryBudget.keptBytes, 0);
  await assert.rejects(it.build({ ...files, Dockerfile: "FROM scratch\nCOPY nowhere /\n" }));
  assert.equal(MemoryBudget.keptBytes, 0);
});

test("the password of an ADD for later is not shown; the image keeps it", async () => {
  await using it = await testBuilder();
  const add = "ADD https://user:hush@example.invalid/file /file";
  const { events, images } = await it.build({
    Dockerfile: `FROM scratch\nCOPY a /a\nONBUILD ${add}\n`,
    a: "1",
  });
  assert.deepEqual(images[0]?.config.config?.OnBuild, [add]);
  const told = inspect(events, { depth: null });
  assert.match(told, /ONBUILD ADD https:\/\/xxxxx:xxxxx@example\.invalid\/file/);
  assert.doesNotMatch(told, /hush/);
});
