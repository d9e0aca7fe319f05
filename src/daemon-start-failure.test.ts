import assert from "node:assert/strict";
import { test } from "node:test";
import { EngineError, invalidArgument } from "./base/errors.ts";
import { machineFault } from "./base/machine-fault.ts";
import { rethrowStartFailure } from "./daemon-start-failure.ts";

const ofNode = (code: string, words: string): Error =>
  Object.assign(new Error(`${code}: ${words}, open '/x'`), { code });
const ofKernel = (code: string): EngineError => {
  const { kind, hint } = machineFault(code)!;
  return new EngineError(kind, `do it (${code})`, { hint });
};

const cases: readonly (readonly [thrown: Error, message: RegExp, hint: RegExp])[] = [
  [
    ofNode("ENOSPC", "no space left on device"),
    /^cannot start the daemon: .*no space left/,
    /^Make room .*df -h/,
  ],
  [ofKernel("ENOSPC"), /^cannot start the daemon: do it/, /^Make room .*df -h/],
  [
    ofNode("EMFILE", "too many open files"),
    /^cannot start the daemon: .*too many open/,
    /^Raise the daemon's limit/,
  ],
  [ofKernel("EDQUOT"), /^cannot start the daemon: do it/, /^Make room within the quota/],
  [ofKernel("ENOMEM"), /^cannot start the daemon: do it/, /^Free memory/],
  [new EngineError("resourceExhausted", "nothing is left"), /: nothing is left$/, /^Nothing was lost/],
];

test("a daemon that cannot start says what it lacks, and what to do about that", () => {
  for (const [thrown, message, hint] of cases)
    assert.throws(
      () => rethrowStartFailure(thrown),
      (error: EngineError) => {
        assert.match(error.message, message);
        assert.match(error.hint ?? "", hint);
        assert.match(error.hint ?? "", /Nothing was lost/);
        assert.doesNotMatch(error.hint ?? "", /prune/);
        return true;
      },
    );
});

test("everything else is thrown as it is", () => {
  for (const thrown of [invalidArgument("no"), new TypeError("a bug")])
    assert.throws(
      () => rethrowStartFailure(thrown),
      (error) => error === thrown,
    );
});
