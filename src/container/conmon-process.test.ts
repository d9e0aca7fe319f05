import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isKind } from "../base/errors.ts";
import { isErrno } from "../linux/fs-error.ts";
import { resizeTerminal } from "./conmon-process.ts";

test("a monitor that takes no sizes at this moment is not called one that does not run", (t) => {
  const bundle = mkdtempSync(join(tmpdir(), "gantry-resize-"));
  t.after(() => rmSync(bundle, { recursive: true }));
  const isAway = (error: unknown): boolean => isKind(error, "notFound") && /does not run/.test(error.message);
  assert.throws(() => resizeTerminal(bundle, 1, 1), isAway);
  const ctl = join(bundle, "ctl");
  execFileSync("mkfifo", [ctl]);
  assert.throws(() => resizeTerminal(bundle, 1, 1), isAway);
  const monitor = openSync(ctl, constants.O_RDWR | constants.O_NONBLOCK);
  t.after(() => closeSync(monitor));
  resizeTerminal(bundle, 24, 80);
  const fill = (): void => {
    for (;;) writeSync(monitor, "1 24 80\n");
  };
  assert.throws(fill, (error) => isErrno(error, "EAGAIN"));
  assert.throws(
    () => resizeTerminal(bundle, 24, 80),
    (error) => isKind(error, "internal") && /resize the terminal: .*\(EAGAIN\)/.test(error.message),
  );
});
