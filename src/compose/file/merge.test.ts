import { deepEqual } from "node:assert/strict";
import { describe, it } from "node:test";
import {
  array,
  assert,
  constant,
  constantFrom,
  dictionary,
  oneof,
  property,
  record,
  tuple,
  uniqueArray,
  type Arbitrary,
} from "fast-check";
import { isMap, treeMap, type Tree, type TreeMap } from "../tree.ts";
import { canonical } from "./canonical.ts";
import { mergeFiles } from "./merge.ts";
import { withoutDoubles } from "./unique.ts";

/** A file in its long form, as the loader merges it. */
const long = (file: TreeMap): TreeMap =>
  withoutDoubles(canonical(withoutDoubles(file), { lenient: false, warn: () => {} }));
const over = (base: TreeMap, file: TreeMap): TreeMap => long(mergeFiles(base, file));

const plain = (tree: Tree): unknown => JSON.parse(JSON.stringify(tree));

const word = constantFrom("a", "b", "c", "d");
const pair = tuple(word, word).map(([key, value]) => `${key}=${value}`);
const map = (value: Arbitrary<Tree>): Arbitrary<Tree> =>
  dictionary(word, value, { maxKeys: 3 }).map((entries) => treeMap(Object.entries(entries)));
const list = (value: Arbitrary<Tree>): Arbitrary<Tree> => array(value, { maxLength: 3 });

/** Keys whose merging the specification gives no exception that depends on the order of merges. */
const service = record(
  {
    image: word,
    command: oneof(word, list(word)),
    environment: oneof(list(pair), map(word)),
    labels: oneof(list(pair), map(word)),
    ports: uniqueArray(constantFrom<Tree>("80", "81:80", "90:90/udp", "10-11:10-11"), {
      maxLength: 3,
    }),
    volumes: list(constantFrom<Tree>("a:/a", "b:/a", "./x:/b:ro", "/c")),
    dns: oneof(word, list(word)),
    expose: list(word),
    cap_add: list(word),
    tmpfs: oneof(word, list(word)),
    networks: map(constant(treeMap([["priority", 1]]))),
    depends_on: map(constant(treeMap([["condition", "service_healthy"]]))),
    healthcheck: record({ test: list(word), interval: word }, { requiredKeys: [] }).map((each) =>
      treeMap(Object.entries(each)),
    ),
    sysctls: oneof(list(pair), map(word)),
    "x-own": list(word),
  },
  { requiredKeys: [] },
).map((entries) => treeMap(Object.entries(entries)));

const file = dictionary(word, service, { maxKeys: 2 }).map((services) =>
  treeMap([["services", treeMap(Object.entries(services))]]),
);

describe("merge", () => {
  it("is associative: (a + b) + c is a + (b + c)", () => {
    assert(
      property(file, file, file, (a, b, c) => {
        const left = over(over(over(treeMap(), a), b), c);
        const right = over(long(a), over(over(treeMap(), b), c));
        deepEqual(plain(left), plain(right));
      }),
    );
  });

  it("leaves a file that says nothing without effect, on both sides", () => {
    assert(
      property(file, (a) => {
        deepEqual(plain(over(long(a), treeMap())), plain(long(a)));
        deepEqual(plain(over(treeMap(), a)), plain(long(a)));
      }),
    );
  });

  it("changes neither of the two", () => {
    assert(
      property(file, file, (a, b) => {
        const before = JSON.stringify([a, b]);
        over(a, b);
        deepEqual(JSON.stringify([a, b]), before);
      }),
    );
  });

  const cases: readonly (readonly [what: string, base: Tree, top: Tree, key: string, result: unknown])[] = [
    ["a scalar is replaced", "a", "b", "image", "b"],
    ["a command is replaced", ["a", "b"], ["c"], "command", ["c"]],
    [
      "environments by name",
      treeMap([
        ["A", 1],
        ["B", 2],
      ]),
      ["A=3"],
      "environment",
      ["A=3", "B=2"],
    ],
    ["capabilities once", ["A"], ["B", "A"], "cap_add", ["A", "B"]],
    ["hosts that are new", ["a:1"], ["b:2", "a:1"], "extra_hosts", ["a:1", "b:2"]],
    [
      "a test is replaced",
      treeMap([["test", ["a"]]]),
      treeMap([["test", ["b"]]]),
      "healthcheck",
      { test: ["b"] },
    ],
    [
      "options of one log driver together",
      treeMap([["options", treeMap([["a", "1"]])]]),
      treeMap([["options", treeMap([["b", "2"]])]]),
      "logging",
      { options: { a: "1", b: "2" } },
    ],
    [
      "another log driver alone",
      treeMap([
        ["driver", "x"],
        ["options", treeMap([["a", "1"]])],
      ]),
      treeMap([["driver", "y"]]),
      "logging",
      { driver: "y" },
    ],
    ["extension keys are replaced", treeMap([["a", 1]]), treeMap([["b", 1]]), "x-own", { b: 1 }],
    ["nothing over something", "a", null, "image", "a"],
  ];
  for (const [what, base, top, key, result] of cases) {
    it(what, () => {
      const fileWith = (value: Tree): TreeMap =>
        treeMap([["services", treeMap([["s", treeMap([[key, value]])]])]]);
      const merged = over(long(fileWith(base)), fileWith(top));
      const { services } = merged;
      const found = isMap(services) && isMap(services["s"]) ? services["s"][key] : undefined;
      deepEqual(plain(found ?? null), result);
    });
  }
});
