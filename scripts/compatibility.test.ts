import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { FlagSpec } from "../src/cli/flags.ts";
import { compatibilityPage, flagSupport, renderCompatibility } from "./compatibility.ts";

test("docs/compatibility.md is up to date (else: npm run docs:compatibility)", async () => {
  assert.equal(readFileSync(compatibilityPage, "utf8"), await renderCompatibility());
});

test("every flag of docker run is known", async () => {
  const row = (await renderCompatibility()).split("\n").find((line) => line.startsWith("| `run` |"));
  assert.match(row ?? "", /\| – \|$/);
});

test("a flag is served, refused by the client or the engine, or not there", () => {
  const flag = (name: string, refused?: string): FlagSpec => ({
    name,
    type: "bool",
    help: "",
    ...(refused === undefined ? {} : { refused }),
  });
  const ours = [flag("a"), flag("b", "not today"), flag("c")];
  assert.deepEqual(flagSupport("a b c d help", ours, new Set(["c"])), {
    served: ["a"],
    refused: ["b", "c"],
    absent: ["d"],
  });
});
