import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { prepareRoot } from "./root-files.ts";

const roots: readonly (readonly [
  what: string,
  make: (at: (name: string) => string) => void,
  etc: Readonly<Record<string, readonly string[]>>,
])[] = [
  ["without an /etc", () => {}, { etc: ["mtab"] }],
  ["with a usual /etc", (at) => mkdirSync(at("etc")), { etc: ["mtab"] }],
  [
    "with an /etc elsewhere",
    (at) => {
      mkdirSync(at("usr/etc"), { recursive: true });
      symlinkSync("/usr/etc", at("etc"));
    },
    { "usr/etc": ["mtab"] },
  ],
  [
    "with an /etc that leads in a circle",
    (at) => {
      symlinkSync("/other", at("etc"));
      symlinkSync("etc", at("other"));
    },
    { etc: ["mtab"] },
  ],
  ["with an /etc that leads nowhere", (at) => symlinkSync("/none/deep", at("etc")), { etc: ["mtab"] }],
  [
    "with an /etc that leads out",
    (at) => symlinkSync("../../../..", at("etc")),
    { ".": [".dockerenv", "etc", "mtab"] },
  ],
  ["with a file /etc", (at) => writeFileSync(at("etc"), ""), { etc: ["mtab"] }],
  [
    "with files of /etc that lead in a circle, nowhere, and somewhere",
    (at) => {
      mkdirSync(at("etc"));
      symlinkSync("hosts", at("etc/hosts"));
      symlinkSync("/run/none", at("etc/resolv.conf"));
      writeFileSync(at("name"), "");
      symlinkSync("../name", at("etc/hostname"));
    },
    { etc: ["hostname", "mtab", "resolv.conf"] },
  ],
];
for (const [what, make, expected] of roots)
  test(`a root ${what}`, () => {
    const root = mkdtempSync(join(tmpdir(), "gantry-root-files-"));
    try {
      make((name) => join(root, name));
      for (let round = 0; round < 2; round++) {
        prepareRoot(root);
        for (const [directory, names] of Object.entries(expected)) {
          assert.deepEqual(readdirSync(join(root, directory)).sort(), names);
          assert.equal(readlinkSync(join(root, directory, "mtab")), "/proc/mounts");
        }
        assert.ok(readdirSync(root).includes(".dockerenv"));
      }
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });

test("an mtab of the image's stays", () => {
  const root = mkdtempSync(join(tmpdir(), "gantry-root-files-"));
  try {
    mkdirSync(join(root, "etc"));
    symlinkSync("mtab", join(root, "etc/mtab"));
    prepareRoot(root);
    assert.equal(readlinkSync(join(root, "etc/mtab")), "mtab");
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
