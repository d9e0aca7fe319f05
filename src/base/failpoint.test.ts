import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { parseFailpoints } from "./failpoint.ts";

test("entries of GANTRY_FAILPOINTS", () => {
  const parsed = parseFailpoints("a=error,b=error:no room,c=exit,d=exit:3,e=fail,f=fail:2,g=what,h=exit:0,i");
  assert.deepEqual(Object.fromEntries(parsed), {
    a: { type: "error", message: "fail point a" },
    b: { type: "error", message: "no room" },
    c: { type: "exit", left: 1 },
    d: { type: "exit", left: 3 },
    e: { type: "fail", left: 1 },
    f: { type: "fail", left: 2 },
  });
});

const module = JSON.stringify(new URL("./failpoint.ts", import.meta.url).href);

/** What a process with these fail points prints when it passes each place three times. */
function pass(failpoints: string): string {
  const source = `
    import { crashpoint, failpoint } from ${module};
    for (const place of [failpoint, crashpoint])
      for (let i = 0; i < 3; i++)
        try { place("x"); console.log("passed"); } catch (error) { console.log(error.message); }`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", source], {
    env: { ...process.env, GANTRY_FAILPOINTS: failpoints },
    encoding: "utf8",
  });
  return stdout.trim().replaceAll("\n", ",");
}

const rows: readonly (readonly [failpoints: string, printed: string])[] = [
  ["", "passed,passed,passed,passed,passed,passed"],
  ["y=fail:9", "passed,passed,passed,passed,passed,passed"],
  ["x=fail:2", "fail point x,fail point x,passed,passed,passed,passed"],
  ["x=fail:4", "fail point x,fail point x,fail point x,fail point x,passed,passed"],
  // A crash point has no error.
  ["x=error:full", "full,full,full,passed,passed,passed"],
  ["x=exit:3", "passed,passed"],
];
for (const [failpoints, printed] of rows)
  test(`passing with "${failpoints}"`, () => assert.equal(pass(failpoints), printed));
