import assert from "node:assert/strict";
import { test } from "node:test";
import { EngineError, type ErrorKind } from "../base/errors.ts";
import { errorAnswer, HttpError } from "./http-error.ts";

const statuses: Readonly<Record<ErrorKind, number>> = {
  invalidArgument: 400,
  unauthenticated: 401,
  permissionDenied: 403,
  notFound: 404,
  alreadyExists: 409,
  conflict: 409,
  notModified: 304,
  notImplemented: 501,
  unavailable: 503,
  resourceExhausted: 500,
  internal: 500,
};

for (const [kind, status] of Object.entries(statuses) as [ErrorKind, number][]) {
  test(`${kind} is ${status}`, () => {
    assert.deepEqual(errorAnswer(new EngineError(kind, "what")), { status, message: "what", isBug: false });
  });
}

test("a plain error is a bug", () => {
  assert.deepEqual(errorAnswer(new TypeError("x is undefined")), {
    status: 500,
    message: "x is undefined",
    isBug: true,
  });
  assert.deepEqual(errorAnswer("text"), { status: 500, message: "text", isBug: true });
  assert.deepEqual(errorAnswer(new HttpError(413, "big")), { status: 413, message: "big", isBug: false });
});

test("a hint is one more sentence", () => {
  const message = (text: string): string =>
    errorAnswer(new EngineError("conflict", text, { hint: "Do it." })).message;
  assert.equal(message("It is so"), "It is so. Do it.");
  assert.equal(message("It is so."), "It is so. Do it.");
});
