import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { findUser, parseGroups, parsePasswd, resolveUser } from "./user.ts";

const passwdText =
  "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1001::/home/bob:/bin/sh\n\nbroken\n42:x:77:77::/odd:\n";
const groupText = "root:x:0:\nbob:x:1001:\nwheel:x:10:root,bob\naudio:x:29:bob\n";
const files = { passwd: parsePasswd(passwdText), groups: parseGroups(groupText) };

test("users are looked up by Docker's rules", () => {
  const table: [string, string[], ReturnType<typeof findUser>][] = [
    ["", [], { uid: 0, gid: 0, additionalGids: [10, 0], home: "/root" }],
    ["bob", [], { uid: 1000, gid: 1001, additionalGids: [10, 29, 1001], home: "/home/bob" }],
    ["1000", [], { uid: 1000, gid: 1001, additionalGids: [10, 29, 1001], home: "/home/bob" }],
    ["bob:audio", [], { uid: 1000, gid: 29, additionalGids: [29], home: "/home/bob" }],
    ["bob:7", [], { uid: 1000, gid: 7, additionalGids: [7], home: "/home/bob" }],
    ["5000", [], { uid: 5000, gid: 0, additionalGids: [0], home: "/" }],
    ["5000:audio", [], { uid: 5000, gid: 29, additionalGids: [29], home: "/" }],
    ["42", [], { uid: 42, gid: 0, additionalGids: [0], home: "/" }],
    [
      "bob",
      ["wheel", "500"],
      { uid: 1000, gid: 1001, additionalGids: [10, 29, 1001, 500], home: "/home/bob" },
    ],
    [":audio", [], { uid: 0, gid: 29, additionalGids: [29], home: "/root" }],
  ];
  for (const [text, add, user] of table) assert.deepEqual(findUser(text, add, files), user, text);
});

test("names that are not there are refused in Docker's words", () => {
  const table: [string, string[], string][] = [
    ["eve", [], "unable to find user eve: no matching entries in passwd file"],
    ["bob:eve", [], "unable to find group eve: no matching entries in group file"],
    ["bob", ["eve"], "Unable to find group eve: no matching entries in group file"],
    ["99999999999", [], "uids and gids must be in range 0-2147483647"],
    ["-1", [], "uids and gids must be in range 0-2147483647"],
  ];
  for (const [text, add, message] of table)
    assert.throws(() => findUser(text, add, files), { kind: "invalidArgument", message }, text);
});

test("links in the root stay in the root, and odd files count as none", () => {
  const root = mkdtempSync(join(tmpdir(), "gantry-user-"));
  try {
    assert.deepEqual(resolveUser(root, ""), { uid: 0, gid: 0, additionalGids: [0], home: "/" });
    mkdirSync(join(root, "etc"));
    symlinkSync("../../../../etc/passwd", join(root, "etc/passwd"));
    assert.throws(() => resolveUser(root, "root"), { message: /^unable to find user root/ });
    symlinkSync("/own/group", join(root, "etc/group"));
    mkdirSync(join(root, "own"));
    writeFileSync(join(root, "own/group"), groupText);
    assert.equal(resolveUser(root, "7:wheel").gid, 10);
    rmSync(join(root, "etc/passwd"));
    mkdirSync(join(root, "etc/passwd"));
    assert.equal(resolveUser(root, "7").uid, 7);
  } finally {
    rmSync(root, { recursive: true });
  }
});
