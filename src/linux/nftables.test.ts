import assert from "node:assert/strict";
import { test } from "node:test";
import { isKind } from "../base/errors.ts";
import { nft, nftList, parseNftError } from "./nftables.ts";

const table = `gt-nft-test-${process.pid}`;

test("a transaction takes effect whole or not at all", () => {
  try {
    nft("make table", `table ip ${table} { set ports { type inet_service; }; }`);
    assert.throws(
      () => nft("add ports", `add element ip ${table} ports { 80 }\nadd element ip ${table} nowhere { 81 }`),
      (error) => isKind(error, "notFound") && error.message.startsWith("add ports: "),
    );
    const set = (): unknown =>
      nftList("list", `list set ip ${table} ports`).find((entry) => "set" in entry)?.["set"]?.["elem"];
    assert.equal(set(), undefined);
    nft("add port", `add element ip ${table} ports { 8080 }`);
    assert.deepEqual(set(), [8080]);
    assert.throws(
      () => nft("create", `create element ip ${table} ports { 8080 }`),
      (error) => isKind(error, "alreadyExists"),
    );
  } finally {
    nft("drop table", `delete table ip ${table}`);
  }
  assert.throws(
    () => nft("drop table", `delete table ip ${table}`),
    (error) => isKind(error, "notFound"),
  );
});

const errors: readonly [string, string, string][] = [
  [
    "internal:0:0-0: Error: Could not process rule: File exists\n",
    "alreadyExists",
    "x: Could not process rule: File exists",
  ],
  [
    "<cmdline>:1:1-9: Error: syntax error, unexpected string\nfrobnicate\n^^^^\n",
    "internal",
    'x: syntax error, unexpected string in "frobnicate"',
  ],
  [
    "Error: Could not process rule: Operation not permitted\nadd table ip x\n",
    "permissionDenied",
    'x: Could not process rule: Operation not permitted in "add table ip x"',
  ],
  ["", "internal", "x: nftables gave no reason"],
];

test("what libnftables writes becomes an error", () => {
  for (const [output, kind, message] of errors) {
    const error = parseNftError("x", output);
    assert.deepEqual([error.kind, error.message], [kind, message]);
  }
});
