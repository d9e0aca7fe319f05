import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SealedBinaries } from "./sealed-binary.ts";
import { runProcess } from "./spawn.ts";

const env = { PATH: "/bin" };

test("a sealed program runs, cannot be written to, and follows its file", async () => {
  const directory = mkdtempSync(join(tmpdir(), "gt-sealed-"));
  // The first child opens /dev/null for all that follow.
  await runProcess({ path: "/bin/true", argv: ["true"], env });
  const before = readdirSync("/proc/self/fd").length;
  {
    using binaries = new SealedBinaries();
    const program = join(directory, "echo");
    copyFileSync("/bin/echo", program);
    const sealed = binaries.executable(program);
    assert.match(sealed, /^\/proc\/\d+\/fd\/\d+$/);
    assert.equal(binaries.executable(program), sealed);
    assert.equal((await runProcess({ path: sealed, argv: ["echo", "hello"], env })).stdout, "hello\n");
    assert.throws(() => writeFileSync(sealed, "x"), { code: "EPERM" });
    rmSync(program);
    copyFileSync("/bin/true", program);
    const upgraded = binaries.executable(program);
    assert.equal((await runProcess({ path: upgraded, argv: ["true", "hello"], env })).stdout, "");
  }
  assert.equal(readdirSync("/proc/self/fd").length, before);
  rmSync(directory, { recursive: true });
});

test("a script and a missing file stay what they are", () => {
  const directory = mkdtempSync(join(tmpdir(), "gt-sealed-"));
  using binaries = new SealedBinaries();
  const script = join(directory, "script");
  writeFileSync(script, "#!/bin/sh\n", { mode: 0o755 });
  assert.equal(binaries.executable(script), script);
  assert.equal(binaries.executable(`${directory}/none`), `${directory}/none`);
  rmSync(directory, { recursive: true });
});
