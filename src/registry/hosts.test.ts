import assert from "node:assert/strict";
import { test } from "node:test";
import { loginDomain } from "./client.ts";
import {
  insecureRegistryComplaint,
  isInsecureRegistry,
  mirrorComplaint,
  registryEndpoints,
} from "./hosts.ts";

test("which servers are asked for a domain, in which order", () => {
  const ask = (domain: string, options: { insecure?: string[]; mirrors?: string[]; push?: boolean } = {}) =>
    registryEndpoints(
      domain,
      { insecureRegistries: options.insecure ?? [], registryMirrors: options.mirrors ?? [] },
      options.push === true ? "push" : "pull",
    ).map(({ origin, prefix, verifyTls, isMirror }) =>
      [origin + prefix, verifyTls ? "" : "any certificate", isMirror ? "mirror" : ""]
        .filter(Boolean)
        .join(", "),
    );
  assert.deepEqual(ask("docker.io"), ["https://registry-1.docker.io"]);
  const mirrors = ["https://mirror.test/hub/", "http://127.0.0.1:5000"];
  assert.deepEqual(ask("docker.io", { mirrors }), [
    "https://mirror.test/hub, mirror",
    "http://127.0.0.1:5000, any certificate, mirror",
    "https://registry-1.docker.io",
  ]);
  assert.deepEqual(ask("docker.io", { mirrors, push: true }), ["https://registry-1.docker.io"]);
  assert.deepEqual(ask("ghcr.io", { mirrors }), ["https://ghcr.io"]);
  assert.deepEqual(ask("reg.test:5000"), ["https://reg.test:5000"]);
  assert.deepEqual(ask("reg.test:5000", { insecure: ["reg.test:5000"] }), [
    "https://reg.test:5000, any certificate",
    "http://reg.test:5000, any certificate",
  ]);
  assert.deepEqual(ask("localhost:5000"), [
    "https://localhost:5000, any certificate",
    "http://localhost:5000, any certificate",
  ]);
});

test("which registries may be spoken to in the clear", () => {
  const rows: [host: string, insecure: string[], expected: boolean][] = [
    ["127.0.0.1:5000", [], true],
    ["127.9.9.9", [], true],
    ["[::1]:5000", [], true],
    ["localhost", [], true],
    ["localhost.test", [], false],
    ["10.1.2.3:5000", [], false],
    ["10.1.2.3:5000", ["10.0.0.0/8"], true],
    ["11.1.2.3:5000", ["10.0.0.0/8"], false],
    ["[fd00::1]:5000", ["fd00::/8"], true],
    ["reg.test", ["reg.test"], true],
    ["reg.test", ["reg.test:5000"], false],
    ["reg.test:5000", ["http://reg.test:5000/"], true],
    ["reg.test:5000", ["10.0.0.0/8"], false],
  ];
  for (const [host, insecure, expected] of rows)
    assert.equal(isInsecureRegistry(host, insecure), expected, `${host} with ${insecure.join()}`);
});

test("options that are no mirror and no registry", () => {
  const mirrors: [text: string, expected: RegExp | undefined][] = [
    ["https://mirror.test", undefined],
    ["http://mirror.test:5000/path/", undefined],
    ["mirror.test", /not a valid URI/],
    ["ftp://mirror.test", /unsupported scheme "ftp"/],
    ["https://me:secret@mirror.test", /username\/password not allowed in URI of "mirror\.test"$/],
    ["https://mirror.test/?a=b", /no query/],
  ];
  for (const [text, expected] of mirrors) {
    if (expected === undefined) assert.equal(mirrorComplaint(text), undefined, text);
    else assert.match(mirrorComplaint(text) ?? "", expected, text);
  }
  for (const good of ["reg.test", "reg.test:5000", "10.0.0.0/8", "fd00::/8", "[::1]:5000", "http://reg.test"])
    assert.equal(insecureRegistryComplaint(good), undefined, good);
  for (const bad of ["", "reg.test/team", "10.0.0.0/40", "-x", "a b"])
    assert.match(insecureRegistryComplaint(bad) ?? "", /is not valid/, bad);
});

test("which registry a server address of login means", () => {
  for (const hub of [
    "",
    "https://index.docker.io/v1/",
    "docker.io",
    "index.docker.io",
    "registry-1.docker.io",
  ])
    assert.equal(loginDomain(hub), "docker.io", hub);
  assert.equal(loginDomain("reg.test:5000"), "reg.test:5000");
  assert.equal(loginDomain("https://reg.test/v2/"), "reg.test");
});
