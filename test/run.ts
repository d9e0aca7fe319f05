/**
 * `npm test`: sets up what the tests need, then hands over to node's test runner. The unit tests beside the sources run
 * first, then the integration tests, all in one run so that its summary is the last thing printed.
 *
 * Usage: node test/run.ts [unit|integration] [file…]
 */
import { spawn, spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const kinds: Record<string, readonly string[]> = {
  unit: ["src/**/*.test.ts", "scripts/**/*.test.ts", "test/helpers/*.test.ts"],
  integration: ["test/integration/*.test.ts"],
};

/** Asks the launcher for the Debian packages and the kernel set-up; it says what it does and is quick when all is there. */
function setUp(): void {
  const { status } = spawnSync(join(root, "gantry"), ["--setup-only"], { stdio: "inherit", cwd: root });
  if (status !== 0) process.exit(status ?? 1);
}

const [first, ...rest] = process.argv.slice(2);
const chosen = first !== undefined && first in kinds ? [first] : Object.keys(kinds);
const named = first !== undefined && !(first in kinds) ? [first, ...rest] : rest;
const files = named.length > 0 ? named : chosen.flatMap((kind) => globSync(kinds[kind] ?? [], { cwd: root }));

setUp();
const child = spawn(
  process.execPath,
  ["--test", "--test-concurrency=2", "--test-timeout=300000", ...files.toSorted()],
  { stdio: "inherit", cwd: root },
);
child.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
