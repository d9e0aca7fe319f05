import { equal } from "node:assert/strict";
import { describe, it } from "node:test";
import { EngineError, isKind, notFound } from "./errors.ts";

describe("isKind", () => {
  it("knows an error of another bundle, whose class is not this one", async () => {
    const url = new URL("./errors.ts?another", import.meta.url);
    const other = (await import(url.href)) as { readonly notFound: typeof notFound };
    const error = other.notFound("gone");
    equal(error instanceof EngineError, false);
    equal(isKind(error, "notFound"), true);
    equal(isKind(error, "conflict"), false);
  });

  it("tells kinds apart, and errors that have none", () => {
    equal(isKind(notFound("gone"), "conflict", "notFound"), true);
    equal(isKind(new Error("gone"), "notFound"), false);
    equal(isKind("gone", "notFound"), false);
  });
});
