import assert from "node:assert/strict";
import { test } from "node:test";
import { parseBind, propagationOf } from "./binds.ts";

test("-v texts are read", () => {
  const plain = { readOnly: false, noCopy: false, mode: "", propagation: "rprivate" };
  const table: [string, ReturnType<typeof parseBind>][] = [
    ["/a:/b", { ...plain, type: "bind", source: "/a", target: "/b" }],
    ["/a/../c/:/b//d/", { ...plain, type: "bind", source: "/c", target: "/b/d" }],
    ["/a:/b:ro", { ...plain, type: "bind", source: "/a", target: "/b", readOnly: true, mode: "ro" }],
    [
      "/a:/b:ro,Z,rslave",
      {
        ...plain,
        type: "bind",
        source: "/a",
        target: "/b",
        readOnly: true,
        mode: "ro,Z,rslave",
        propagation: "rslave",
      },
    ],
    ["data:/b", { ...plain, type: "volume", source: "data", target: "/b" }],
    [
      "data:/b:nocopy",
      { ...plain, type: "volume", source: "data", target: "/b", noCopy: true, mode: "nocopy" },
    ],
    ["/only", { ...plain, type: "volume", source: "", target: "/only" }],
    ["/a:/b:", { ...plain, type: "bind", source: "/a", target: "/b" }],
  ];
  for (const [text, bind] of table) assert.deepEqual(parseBind(text), bind, text);
});

test("-v texts that make no sense are refused in Docker's words", () => {
  const table: [string, RegExp][] = [
    ["", /^invalid volume specification: ''$/],
    [":/b", /^invalid volume specification: ':\/b'$/],
    ["/a:", /^invalid volume specification: '\/a:'$/],
    ["/a:/b:ro:x", /^invalid volume specification: '\/a:\/b:ro:x'$/],
    ["/a:ro", /^invalid volume specification: '\/a:ro'$/],
    ["/a:/b:rw,ro", /^invalid mode: rw,ro$/],
    ["/a:/b:what", /^invalid mode: what$/],
    ["/a:/b:shared,slave", /^invalid mode: shared,slave$/],
    ["/a:b", /invalid mount config for type "bind": invalid mount path: 'b' mount path must be absolute$/],
    ["/a:/", /invalid specification: destination can't be '\/'$/],
    ["/a:/b/..", /invalid specification: destination can't be '\/'$/],
    ["data:/b:shared", /field BindOptions must not be specified$/],
    ["/a:/b:nocopy", /field VolumeOptions must not be specified$/],
    ["d:/b", /^create d: volume name is too short/],
    ["../x:/b", /includes invalid characters for a local volume name/],
  ];
  for (const [text, message] of table)
    assert.throws(() => parseBind(text), { name: "EngineError", kind: "invalidArgument", message }, text);
});

test("propagation has a default and known words", () => {
  assert.equal(propagationOf(""), "rprivate");
  assert.equal(propagationOf("shared"), "shared");
  assert.throws(() => propagationOf("far"), { message: "invalid propagation mode: far" });
});
