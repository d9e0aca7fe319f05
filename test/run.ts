/**
 * `npm test`: hands over to node's test runner, the unit tests beside the sources and the integration tests in one run,
 * so that its summary is the last thing printed; with `GANTRY_TEST_GUEST=1` also the guest, which takes minutes. What they need was set up before by `./gantry --setup dev`.
 *
 * Usage: node test/run.ts [unit|integration] [file…]
 */
import { spawn } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const kinds: Record<string, readonly string[]> = {
  unit: ["src/**/*.test.ts", "scripts/**/*.test.ts", "test/helpers/*.test.ts"],
  integration: ["test/integration/*.test.ts", "test/crash/*.test.ts", "test/fuzz/*.test.ts"],
  guest: process.env["GANTRY_TEST_GUEST"] === "1" ? ["test/guest/*.test.ts"] : [],
};

const [first, ...rest] = process.argv.slice(2);
const chosen = first !== undefined && first in kinds ? [first] : Object.keys(kinds);
const named = first !== undefined && !(first in kinds) ? [first, ...rest] : rest;
const files = named.length > 0 ? named : chosen.flatMap((kind) => globSync(kinds[kind] ?? [], { cwd: root }));

const child = spawn(
  process.execPath,
  ["--test", "--test-concurrency=2", "--test-timeout=400000", ...files.toSorted()],
  { stdio: "inherit", cwd: root },
);
child.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
