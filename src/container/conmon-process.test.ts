import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, rmSync, readSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isKind } from "../base/errors.ts";
import { isErrno } from "../linux/fs-error.ts";
import { resizeTerminal } from "./conmon-process.ts";

test("a monitor that takes no sizes at this moment is not called one that does not run", async (t) => {
  const bundle = mkdtempSync(join(tmpdir(), "gantry-resize-"));
  t.after(() => rmSync(bundle, { recursive: true }));
  const isAway = (error: unknown): boolean => isKind(error, "notFound") && /does not run/.test(error.message);
  await assert.rejects(resizeTerminal(bundle, 1, 1), isAway);
  const ctl = join(bundle, "ctl");
  execFileSync("mkfifo", [ctl]);
  await assert.rejects(resizeTerminal(bundle, 1, 1), isAway);
  const monitor = openSync(ctl, constants.O_RDWR | constants.O_NONBLOCK);
  t.after(() => closeSync(monitor));
  await resizeTerminal(bundle, 24, 80);
  const fill = (): void => {
    for (;;) writeSync(monitor, "1 24 80\n");
  };
  assert.throws(fill, (error) => isErrno(error, "EAGAIN"));
  await assert.rejects(
    resizeTerminal(bundle, 24, 80),
    (error) => isKind(error, "internal") && /resize the terminal: .*\(EAGAIN\)/.test(error.message),
  );
});

test("a size is not written before the monitor has read the one before it", async (t) => {
  const bundle = mkdtempSync(join(tmpdir(), "gantry-resize-"));
  t.after(() => rmSync(bundle, { recursive: true }));
  execFileSync("mkfifo", [join(bundle, "ctl")]);
  const monitor = openSync(join(bundle, "ctl"), constants.O_RDWR | constants.O_NONBLOCK);
  t.after(() => closeSync(monitor));
  const read = (): string => {
    const buffer = Buffer.alloc(200);
    return buffer.toString("latin1", 0, readSync(monitor, buffer));
  };
  const all = [1, 2, 3].map((size) => resizeTerminal(bundle, size, size));
  const lines: string[] = [];
  for (const each of all) {
    await each;
    lines.push(read());
  }
  assert.deepEqual(lines, ["1 1 1\n", "1 2 2\n", "1 3 3\n"]);
});
