import assert from "node:assert/strict";
import { test } from "node:test";
import { assert as assertProperty, property, string } from "fast-check";
import { parseChallenges } from "./challenge.ts";

const read = (header: string) =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

test("challenges of registries", () => {
  const rows: [header: string, expected: unknown][] = [
    ['Basic realm="Registry"', [["basic", { realm: "Registry" }]]],
    [
      'Bearer realm="https://auth.test/token",service="reg.test",scope="repository:a/b:pull,push"',
      [
        [
          "bearer",
          { realm: "https://auth.test/token", service: "reg.test", scope: "repository:a/b:pull,push" },
        ],
      ],
    ],
    ["bearer REALM = x , Service=y", [["bearer", { realm: "x", service: "y" }]]],
    [
      'Basic realm="a", Bearer realm="b"',
      [
        ["basic", { realm: "a" }],
        ["bearer", { realm: "b" }],
      ],
    ],
    ['Basic realm="say \\"hi\\", you"', [["basic", { realm: 'say "hi", you' }]]],
    ["Negotiate", [["negotiate", {}]]],
    ['Basic realm="never ends', [["basic", {}]]],
    ["", []],
    ['="x"', []],
  ];
  for (const [header, expected] of rows) assert.deepEqual(read(header), expected, header);
});

test("any header is read to an end", () => {
  assertProperty(property(string(), (header) => Array.isArray(parseChallenges(header))));
});
