import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { isKind } from "../base/errors.ts";
import { chainIds } from "./chain-id.ts";
import { digestOf, isDigest, parseDigest } from "./digest.ts";

const hex = "a".repeat(64);

test("malformed digests are refused with a reason", () => {
  const table: [string, RegExp][] = [
    ["", /invalid checksum digest format/],
    ["sha256", /invalid checksum digest format/],
    [`sha256:${hex}0`, /invalid checksum digest length/],
    [`sha256:${"A".repeat(64)}`, /invalid checksum digest format/],
    [`sha256:${"g".repeat(64)}`, /invalid checksum digest format/],
    [`md5:${"a".repeat(32)}`, /unsupported digest algorithm: md5/],
    [`toString:${hex}`, /invalid checksum digest format/],
    [`constructor:${hex}`, /unsupported digest algorithm/],
    [`sha256:../../${hex}`, /invalid checksum digest format/],
    [`sha512:${hex}`, /invalid checksum digest length/],
  ];
  for (const [text, reason] of table) {
    assert.throws(
      () => parseDigest(text),
      (error: unknown) => isKind(error, "invalidArgument") && reason.test(error.message),
      text,
    );
    assert.equal(isDigest(text), false, text);
  }
});

test("a digest of any bytes parses; other bytes have another", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (data, other) => {
      const digest = digestOf(data);
      assert.equal(`sha256:${parseDigest(digest).hex}`, digest);
      assert.ok(isDigest(digest));
      assert.equal(digestOf(other) === digest, Buffer.compare(data, other) === 0);
    }),
  );
});

test("isDigest agrees with parseDigest on arbitrary text", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^sha256:[0-9a-f]{63,65}$/)), (text) => {
      let parsed = true;
      try {
        parseDigest(text);
      } catch {
        parsed = false;
      }
      assert.equal(isDigest(text), parsed);
    }),
  );
});

test("chainIDs follow the specification's recursion", () => {
  const [a, b, c] = ["a", "b", "c"].map((text) => digestOf(text)) as [string, string, string];
  assert.deepEqual(chainIds([]), []);
  assert.deepEqual(chainIds([a]), [a]);
  const ab = digestOf(`${a} ${b}`);
  assert.deepEqual(chainIds([a, b, c]), [a, ab, digestOf(`${ab} ${c}`)]);
  assert.equal(chainIds([a, b, c])[2], digestOf(`${ab} ${c}`));
});
