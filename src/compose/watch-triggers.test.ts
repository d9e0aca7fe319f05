import { deepEqual, equal, match, throws } from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { Project, Service, WatchTrigger } from "./model/project.ts";
import { isWanted, isWantedInside, watchTriggers } from "./watch-triggers.ts";

const root = mkdtempSync(join(tmpdir(), "gantry-test-watch-"));
mkdirSync(join(root, "src"));
writeFileSync(join(root, ".dockerignore"), "src/made\n*.log\n!src/keep.log\n");
after(() => rmSync(root, { recursive: true }));

const withRule = (rule: Partial<WatchTrigger>, service: Partial<Service> = {}): Project =>
  ({
    services: {
      app: {
        ...service,
        develop: { watch: [{ path: join(root, "src"), action: "sync", target: "/app", ...rule }] },
      },
    },
  }) as unknown as Project;

function triggers(rule: Partial<WatchTrigger>, service: Partial<Service> = {}) {
  const warnings: string[] = [];
  return { warnings, found: watchTriggers(withRule(rule, service), (message) => warnings.push(message)) };
}

describe("watchTriggers", () => {
  it("leaves out what is not there, and what a bind mount shows", () => {
    const mounted = { volumes: [{ type: "bind", source: root, target: "/x" }] };
    for (const [rule, service, expected] of [
      [{ path: join(root, "none") }, {}, /is not there/],
      [{}, mounted, /bind mount/],
    ] as const) {
      const warnings: string[] = [];
      throws(() => watchTriggers(withRule(rule, service), (message) => warnings.push(message)), {
        message: /none of the selected services is configured for watch/,
      });
      equal(warnings.length, 1);
      match(warnings[0]!, expected);
    }
    const beside = { volumes: [{ type: "bind", source: `${root}/src/below`, target: "/x" }] };
    equal(triggers({}, beside).found.length, 1);
  });

  it("refuses to rebuild what is not built", () => {
    throws(() => triggers({ action: "rebuild" }), {
      message: `can't watch service "app" with action rebuild without a build context`,
    });
  });

  const cases: readonly (readonly [Partial<WatchTrigger>, Partial<Service>, Record<string, boolean>])[] = [
    [{}, {}, { "src/a": true, "src/a/b": true, src: true, other: false, "src2/a": false, "..a": false }],
    [{}, {}, { "src/.git/index": false, "src/a~": false, "src/.a.swp": false, "src/..a": true }],
    [
      { ignore: ["node_modules/", "*.tmp"] },
      {},
      { "src/node_modules/x/y": false, "src/a.tmp": false, "src/b/a.tmp": true },
    ],
    [{ ignore: ["**", "!kept"] }, {}, { "src/a": false, "src/kept": true }],
    [{ include: ["*.py"] }, {}, { "src/a.py": true, "src/b/a.py": true, "src/a.txt": false }],
    [
      {},
      { build: { context: root } },
      { "src/made/a": false, "src/a.log": true, "src/keep.log": true, "src/b": true },
    ],
  ];
  for (const [rule, service, expected] of cases) {
    it(`knows what is wanted: ${JSON.stringify(rule)} ${JSON.stringify(expected)}`, () => {
      const [trigger] = triggers(rule, service).found;
      const actual = Object.keys(expected).map((path) => [path, isWanted(trigger!, join(root, path))]);
      deepEqual(Object.fromEntries(actual), expected);
    });
  }

  it("goes into an ignored directory that has exceptions, and into no other", () => {
    const [trigger] = triggers({ ignore: ["a", "!a/kept", "b"], include: ["*.py"] }).found;
    equal(isWantedInside(trigger!, "a", true), true);
    equal(isWantedInside(trigger!, "b", true), false);
    equal(isWantedInside(trigger!, "c", true), true);
    equal(isWantedInside(trigger!, "c.txt", false), false);
  });
});
