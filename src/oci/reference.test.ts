import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { isKind } from "../base/errors.ts";
import {
  familiarReference,
  formatReference,
  parseReference,
  withDefaultTag,
  withDigest,
  withTag,
} from "./reference.ts";

const hex = "0123456789abcdef".repeat(4);

test("normalised and familiar forms", () => {
  const table: [string, string, string][] = [
    ["busybox", "docker.io/library/busybox:latest", "busybox:latest"],
    ["busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"],
    ["library/busybox", "docker.io/library/busybox:latest", "busybox:latest"],
    ["docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"],
    ["index.docker.io/a/b:c", "docker.io/a/b:c", "a/b:c"],
    ["gantry/busybox", "docker.io/gantry/busybox:latest", "gantry/busybox:latest"],
    ["localhost/x", "localhost/x:latest", "localhost/x:latest"],
    ["localhost:5000/x:1", "localhost:5000/x:1", "localhost:5000/x:1"],
    ["127.0.0.1:5001/bb:1", "127.0.0.1:5001/bb:1", "127.0.0.1:5001/bb:1"],
    ["[fd00::1]:5000/x", "[fd00::1]:5000/x:latest", "[fd00::1]:5000/x:latest"],
    ["Uppercase.host/x", "Uppercase.host/x:latest", "Uppercase.host/x:latest"],
    ["a/b/c/d", "docker.io/a/b/c/d:latest", "a/b/c/d:latest"],
    [`x@sha256:${hex}`, `docker.io/library/x@sha256:${hex}`, `x@sha256:${hex}`],
    [`x:t@sha256:${hex}`, `docker.io/library/x:t@sha256:${hex}`, `x:t@sha256:${hex}`],
    ["a__b/c-_d".replace("-_", "--"), "docker.io/a__b/c--d:latest", "a__b/c--d:latest"],
  ];
  for (const [written, normalised, familiar] of table) {
    const reference = withDefaultTag(parseReference(written));
    assert.equal(formatReference(reference), normalised, written);
    assert.equal(familiarReference(reference), familiar, written);
  }
});

test("malformed references are refused with Docker's words", () => {
  const format = "invalid reference format";
  const table: [string, string][] = [
    ["", format],
    [":", format],
    ["x:", format],
    ["x:-t", format],
    ["x:" + "t".repeat(129), format],
    ["a//b", format],
    ["/x", format],
    ["x/", format],
    ["x y", format],
    ["-x", format],
    ["x-", format],
    ["a..b", format],
    ["a___b", format],
    ["x@", format],
    ["x@sha256:abc", format],
    ["../etc", format],
    ["Busybox", "invalid reference format: repository name (library/Busybox) must be lowercase"],
    ["a/B:t", "invalid reference format: repository name (a/B) must be lowercase"],
    [hex, `invalid repository name (${hex}), cannot specify 64-byte hexadecimal strings`],
    ["x/" + "y".repeat(300), "repository name must not be more than 255 characters"],
    [`x@sha256:${hex}ab`, `invalid checksum digest length: "sha256:${hex}ab"`],
  ];
  for (const [written, message] of table)
    assert.throws(
      () => parseReference(written),
      (error: unknown) => {
        assert.ok(isKind(error, "invalidArgument"), written);
        assert.equal(error.message, message, written);
        return true;
      },
    );
});

test("tags and digests are exchanged, malformed ones refused", () => {
  const reference = parseReference("a/b:c");
  assert.equal(familiarReference(withTag(reference, "d")), "a/b:d");
  assert.equal(familiarReference(withDigest(reference, `sha256:${hex}`)), `a/b@sha256:${hex}`);
  assert.throws(() => withTag(reference, "no good"), /invalid tag format/);
  assert.throws(() => withDigest(reference, "sha256:1"), /invalid checksum digest/);
});

test("what was parsed parses again to the same, in both forms", () => {
  const component = fc.stringMatching(/^[a-z0-9]{1,6}([._-][a-z0-9]{1,4}){0,2}$/);
  const domain = fc.constantFrom("", "docker.io/", "localhost/", "example.com:5000/", "[::1]/");
  const tag = fc.option(fc.stringMatching(/^\w[\w.-]{0,20}$/), { nil: undefined });
  const digest = fc.option(fc.constant(`sha256:${hex}`), { nil: undefined });
  fc.assert(
    fc.property(
      domain,
      fc.array(component, { minLength: 1, maxLength: 4 }),
      tag,
      digest,
      (host, path, t, d) => {
        fc.pre(host !== "" || path.length === 1 || !/[.]|^localhost$/.test(path[0]!));
        const written = `${host}${path.join("/")}${t === undefined ? "" : `:${t}`}${d === undefined ? "" : `@${d}`}`;
        const reference = parseReference(written);
        assert.deepEqual(parseReference(formatReference(reference)), reference);
        assert.deepEqual(parseReference(familiarReference(reference)), reference);
      },
    ),
  );
});

test("arbitrary text gives a reference or invalidArgument, never anything else", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => {
      try {
        assert.ok(parseReference(text).path.length > 0);
      } catch (error) {
        assert.ok(isKind(error, "invalidArgument"));
      }
    }),
  );
});
