import assert from "node:assert/strict";
import { test } from "node:test";
import { isKind } from "../base/errors.ts";
import { claimBridge } from "./bridge-claim.ts";

test("a bridge has one daemon at a time", async () => {
  const name = `gt-claim${process.pid}`;
  const first = await claimBridge(name);
  await assert.rejects(
    claimBridge(name),
    (error) => isKind(error, "conflict") && error.message.includes(name),
  );
  using _other = await claimBridge(`${name}b`);
  first[Symbol.dispose]();
  using _again = await claimBridge(name);
});
