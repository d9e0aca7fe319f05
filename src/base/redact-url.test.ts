import assert from "node:assert/strict";
import { test } from "node:test";
import { redactCredentials } from "./redact-url.ts";

const texts: readonly (readonly [string, string])[] = [
  ["https://user:token@host/app.git#main:dir", "https://xxxxx:xxxxx@host/app.git#main:dir"],
  ["https://token@host/app.git", "https://xxxxx@host/app.git"],
  ["https://user:to@ken@host:8443/a?b=c@d", "https://xxxxx:xxxxx@host:8443/a?b=c@d"],
  ["HTTPS://:token@host", "HTTPS://xxxxx:xxxxx@host"],
  ["ssh://git@host/app", "ssh://git@host/app"],
  ["ssh://git:word@host/app", "ssh://xxxxx:xxxxx@host/app"],
  ["git@host:app", "git@host:app"],
  ["https://host/@scope/package", "https://host/@scope/package"],
  [
    "fatal: repository 'http://a:b@c/' and http://d@e/ not found, ask x@y",
    "fatal: repository 'http://xxxxx:xxxxx@c/' and http://xxxxx@e/ not found, ask x@y",
  ],
];
for (const [text, shown] of texts)
  test(`shown: ${text}`, () => {
    assert.equal(redactCredentials(text), shown);
  });
