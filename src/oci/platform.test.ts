import assert from "node:assert/strict";
import { test } from "node:test";
import { isKind } from "../base/errors.ts";
import { formatPlatform, hostPlatform, parsePlatform, platformMatches, selectPlatform } from "./platform.ts";

test("spellings of one platform are one", () => {
  const table: [string, string][] = [
    ["linux/amd64", "linux/amd64"],
    ["linux/x86_64", "linux/amd64"],
    ["Linux/AMD64", "linux/amd64"],
    ["linux/amd64/v1", "linux/amd64"],
    ["linux/amd64/v3", "linux/amd64/v3"],
    ["linux/arm64/v8", "linux/arm64"],
    ["linux/aarch64", "linux/arm64"],
    ["linux/arm64/8", "linux/arm64"],
    ["linux/arm", "linux/arm/v7"],
    ["linux/arm/6", "linux/arm/v6"],
    ["linux/armhf", "linux/arm/v7"],
    ["linux/armel", "linux/arm/v6"],
    ["arm64", "linux/arm64"],
    ["i386", "linux/386"],
    ["windows/amd64", "windows/amd64"],
  ];
  for (const [written, expected] of table)
    assert.equal(formatPlatform(parsePlatform(written)), expected, written);
  assert.deepEqual(parsePlatform("linux"), hostPlatform());
});

test("malformed platforms are refused", () => {
  for (const text of ["", "/", "linux/", "a/b/c/d", "nonsense", "linux/amd 64"])
    assert.throws(
      () => parsePlatform(text),
      (error: unknown) => isKind(error, "invalidArgument"),
      text,
    );
});

test("what runs where", () => {
  const table: [string, string, boolean][] = [
    ["linux/amd64", "linux/amd64", true],
    ["linux/amd64", "linux/arm64", false],
    ["linux/amd64", "windows/amd64", false],
    ["linux/arm64", "linux/arm64/v8", true],
    ["linux/arm/v7", "linux/arm/v6", true],
    ["linux/arm/v6", "linux/arm/v7", false],
    ["linux/amd64", "linux/amd64/v3", false],
    ["linux/amd64/v3", "linux/amd64", true],
  ];
  for (const [wanted, offered, expected] of table)
    assert.equal(
      platformMatches(parsePlatform(wanted), parsePlatform(offered)),
      expected,
      `${offered} on ${wanted}`,
    );
});

test("the nearest variant is selected", () => {
  const offers = ["linux/arm/v5", "linux/arm/v7", "linux/arm/v6", "linux/amd64"].map((text) => ({
    platform: parsePlatform(text),
  }));
  assert.equal(selectPlatform(parsePlatform("linux/arm/v7"), offers), offers[1]);
  assert.equal(selectPlatform(parsePlatform("linux/arm/v6"), offers), offers[2]);
  assert.equal(selectPlatform(parsePlatform("linux/s390x"), offers), undefined);
  assert.equal(selectPlatform(parsePlatform("linux/amd64"), [{}]), undefined);
});
