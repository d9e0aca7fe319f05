import assert from "node:assert/strict";
import { test } from "node:test";
import { log } from "./log.ts";

test("an entry is one line of printable characters, whatever is in its message and fields", (t) => {
  const written: string[] = [];
  t.mock.method(process.stderr, "write", (text: string) => written.push(text) > 0);
  const harm = 'a\n\r\u2028\u001b[2J\u009b31m\u007f" level=fatal msg="x';
  log.warn(harm, { plain: "a/b:1", text: harm, list: [harm], error: new Error(harm), none: undefined });
  t.mock.restoreAll();
  assert.equal(written.length, 1);
  const [line = ""] = written;
  assert.match(
    line,
    /^time="[^"]+" level=warn msg="a\\n\\r\\u2028\\u001b\[2J\\u009b31m\\u007f\\" level=fatal msg=\\"x" plain=a\/b:1 text="/,
  );
  assert.doesNotMatch(line.slice(0, -1), /[\p{Cc}\u2028\u2029]/u);
  assert.ok(!line.includes("none="));
});
