import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { EngineError } from "../base/errors.ts";
import { containerCreateRequest, execCreateRequest, execStartRequest } from "./requests.ts";

const accepted: readonly { what: string; body: object; expected: object }[] = [
  { what: "nothing", body: {}, expected: {} },
  { what: "null fields are unset", body: { Cmd: null, HostConfig: null, Image: null }, expected: {} },
  { what: "unknown fields are ignored", body: { Nope: 1, Image: "a" }, expected: { Image: "a" } },
  {
    what: "any case of a name",
    body: { image: "a", hostconfig: { memory: 1 } },
    expected: { Image: "a", HostConfig: { Memory: 1 } },
  },
  {
    what: "a command as one string",
    body: { Cmd: "ls", Entrypoint: [""] },
    expected: { Cmd: ["ls"], Entrypoint: [""] },
  },
  {
    what: "sets",
    body: { ExposedPorts: { "80/tcp": {}, "81/tcp": null } },
    expected: { ExposedPorts: { "80/tcp": {}, "81/tcp": {} } },
  },
  {
    what: "ports",
    body: { HostConfig: { PortBindings: { "80/tcp": [{ HostPort: "1" }], "81/tcp": null } } },
    expected: {
      HostConfig: { PortBindings: { "80/tcp": [{ HostIp: "", HostPort: "1" }], "81/tcp": null } },
    },
  },
  {
    what: "endpoints",
    body: { NetworkingConfig: { EndpointsConfig: { default: null, n: { Aliases: ["a"], IPAMConfig: {} } } } },
    expected: {
      NetworkingConfig: { EndpointsConfig: { default: null, n: { Aliases: ["a"], IPAMConfig: {} } } },
    },
  },
  {
    what: "console size",
    body: { HostConfig: { ConsoleSize: [24, 80, 1] } },
    expected: { HostConfig: { ConsoleSize: [24, 80] } },
  },
];

for (const { what, body, expected } of accepted) {
  test(`reads ${what}`, () => assert.deepEqual(containerCreateRequest(body, ""), expected));
}

const refused: readonly [body: unknown, message: string][] = [
  [null, "the body must be an object, not null"],
  [[], "the body must be an object, not an array"],
  ["x", "the body must be an object, not a string"],
  [{ Image: 1 }, "field Image must be a string, not a number"],
  [{ Tty: "true" }, "field Tty must be true or false, not a string"],
  [{ Cmd: [1] }, "field Cmd[0] must be a string, not a number"],
  [{ Env: "A=1" }, "field Env must be an array, not a string"],
  [{ ExposedPorts: ["80"] }, "field ExposedPorts must be an object, not an array"],
  [{ HostConfig: { Memory: "1g" } }, "field HostConfig.Memory must be a whole number, not a string"],
  [{ HostConfig: { Memory: 1.5 } }, "field HostConfig.Memory must be a whole number of 64 bits, not 1.5"],
  [{ HostConfig: { Memory: 1e30 } }, "field HostConfig.Memory must be a whole number of 64 bits, not 1e+30"],
  [
    { HostConfig: { PortBindings: { "80/tcp": [{ HostPort: 80 }] } } },
    "field HostConfig.PortBindings[80/tcp][0].HostPort must be a string, not a number",
  ],
  [{ Labels: { a: true } }, "field Labels[a] must be a string, not true"],
];

for (const [body, message] of refused) {
  test(`refuses ${JSON.stringify(body)}`, () => {
    assert.throws(
      () => containerCreateRequest(body, ""),
      (error) =>
        error instanceof EngineError &&
        error.kind === "invalidArgument" &&
        error.message === `invalid JSON: ${message}`,
    );
  });
}

test("a label called __proto__ stays a label", () => {
  const { Labels } = containerCreateRequest(JSON.parse('{"Labels":{"__proto__":"x"}}'), "");
  assert.deepEqual(Object.entries(Labels ?? {}), [["__proto__", "x"]]);
});

test("any JSON is read or refused, never a crash", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      for (const decode of [containerCreateRequest, execCreateRequest, execStartRequest]) {
        try {
          decode(value, "");
        } catch (error) {
          assert.ok(error instanceof EngineError);
        }
      }
    }),
  );
});
