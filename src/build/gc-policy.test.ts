import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { testBuilder } from "./builder.fixture.ts";
import { gcRules, parseBuilderSettings } from "./gc-policy.ts";

const GB = 1024 ** 3;

describe("the builder's settings", () => {
  test("without any, cache goes by Docker's rules within a share of the disk", () => {
    const rules = gcRules(parseBuilderSettings({}), "/");
    assert.deepEqual(
      rules.map(({ all }) => all),
      [false, false, true],
    );
    assert.equal(rules[0]!.unusedForMs, 48 * 3_600_000);
    assert.ok(rules[2]!.maxUsedBytes! >= 2 * GB);
  });

  test("a limit holds for all", () => {
    const rules = gcRules(parseBuilderSettings({ gc: { enabled: true, defaultKeepStorage: "20GB" } }), "/");
    assert.deepEqual(rules.slice(1), [
      { all: false, filters: {}, maxUsedBytes: 20 * GB },
      { all: true, filters: {}, maxUsedBytes: 20 * GB },
    ]);
  });

  test("rules of one's own take the place of the others, in any case of letters", () => {
    const policy = [
      { keepStorage: "512MB", filter: ["unused-for=168h", "type==source.local"] },
      { ReservedSpace: "1GB", maxUsedSpace: "4GB", minFreeSpace: 10, All: true },
    ];
    assert.deepEqual(gcRules(parseBuilderSettings({ GC: { policy } }), "/"), [
      {
        all: false,
        filters: { type: ["source.local"] },
        unusedForMs: 168 * 3_600_000,
        maxUsedBytes: 512 * 1024 ** 2,
      },
      { all: true, filters: {}, reservedBytes: GB, maxUsedBytes: 4 * GB, minFreeBytes: 10 },
    ]);
  });

  test("nothing goes when it is switched off", () => {
    assert.deepEqual(gcRules(parseBuilderSettings({ gc: { enabled: false } }), "/"), []);
  });

  test("entitlements are those of Docker unless they are said", () => {
    assert.deepEqual([...parseBuilderSettings({}).entitlements], ["network.host"]);
    const entitlements = { "network-host": false, "security-insecure": true };
    assert.deepEqual([...parseBuilderSettings({ entitlements }).entitlements], ["security.insecure"]);
  });

  const refused: readonly (readonly [unknown, RegExp])[] = [
    [[], /"builder" must be an object/],
    [{ cache: {} }, /"builder.cache" is no setting/],
    [{ gc: { enabled: "yes" } }, /"builder.gc.enabled" must be true or false/],
    [{ gc: { defaultKeepStorage: "much" } }, /"builder.gc.defaultKeepStorage": invalid size: 'much'/],
    [{ gc: { policy: {} } }, /"builder.gc.policy" must be a list/],
    [
      { gc: { policy: [{ filter: ["color=red"] }] } },
      /"builder.gc.policy\[0\].filter": invalid filter "color=red"/,
    ],
    [{ gc: { policy: [{ filter: ["unused-for=long"] }] } }, /invalid duration "long"/],
  ];
  for (const [value, words] of refused)
    test(`refused: ${JSON.stringify(value)}`, () => assert.throws(() => parseBuilderSettings(value), words));
});

test("after a build the rules take what they say, and nothing when they are off", async () => {
  const sizes = async (gc: object): Promise<string[]> => {
    await using it = await testBuilder(parseBuilderSettings({ gc }));
    await it.build(
      { Dockerfile: "FROM scratch\nCOPY a /\nCOPY b /\n", a: "x".repeat(50_000), b: "y".repeat(50_000) },
      { exports: [{ type: "none" }] },
    );
    await it.host.background.idle();
    return [...new Set((await it.builder.cacheList()).map(({ type }) => type))].sort();
  };
  assert.deepEqual(await sizes({ policy: [{ all: true, maxUsedSpace: 1 }] }), []);
  assert.deepEqual(await sizes({ policy: [{ all: true, filter: ["type=regular"], maxUsedSpace: 1 }] }), [
    "source.local",
  ]);
  assert.equal((await sizes({ policy: [{ all: true, maxUsedSpace: 1, reservedSpace: "1MB" }] })).length, 2);
  assert.equal((await sizes({ policy: [{ filter: ["unused-for=1h"], maxUsedSpace: 1 }] })).length, 2);
  assert.equal((await sizes({ enabled: false, policy: [{ all: true, maxUsedSpace: 1 }] })).length, 2);
});
