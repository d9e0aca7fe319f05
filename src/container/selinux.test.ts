import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checkRelabel,
  chooseLabels,
  contextOption,
  formatContext,
  freshLevel,
  levelOf,
  parseContainerContexts,
  parseContext,
  policyType,
  relabelling,
  sharedLabel,
  wordsOf,
} from "./selinux.ts";

test("contexts are read and written", () => {
  const rows = ["system_u:object_r:container_file_t:s0:c1,c2", "a:b:c:s0-s0:c0.c1023", "a:b:c"];
  for (const text of rows) assert.equal(formatContext(parseContext(text)!), text);
  for (const text of ["", "a", "a:b"]) assert.equal(parseContext(text), undefined);
  assert.equal(levelOf("a:b:c:s0:c1,c2"), "s0:c1,c2");
  assert.equal(levelOf("a:b:c"), "");
  assert.equal(levelOf(""), "");
});

const contexts = `
# Debian's
process = "system_u:system_r:container_t:s0"
; old
content = "system_u:object_r:virt_var_lib_t:s0"
file="system_u:object_r:container_file_t:s0"
ro_file =  system_u:object_r:container_ro_file_t:s0
nonsense
`;

test("what a policy says for containers", () => {
  const found = parseContainerContexts(contexts);
  assert.equal(found && formatContext(found.process), "system_u:system_r:container_t:s0");
  assert.equal(found && formatContext(found.file), "system_u:object_r:container_file_t:s0");
  assert.equal(parseContainerContexts(contexts.replace("process", "other")), undefined);
  assert.equal(parseContainerContexts(""), undefined);
});

test("the policy's type", () => {
  assert.equal(policyType("SELINUX=permissive\n# SELINUXTYPE=mls\nSELINUXTYPE=default\n"), "default");
  assert.equal(policyType("SELINUX=permissive\n"), "targeted");
});

const base = parseContainerContexts(contexts)!;
const plain = {
  process: parseContext("system_u:system_r:container_t")!,
  file: parseContext("system_u:object_r:container_file_t")!,
};
const level = "s0:c3,c40";

const rows: readonly (readonly [words: readonly string[], process: string, mount: string])[] = [
  [[], `system_u:system_r:container_t:${level}`, `system_u:object_r:container_file_t:${level}`],
  [["disable"], "", "system_u:object_r:container_file_t:s0:c1022,c1023"],
  [
    ["type:svirt_apache_t"],
    `system_u:system_r:svirt_apache_t:${level}`,
    `system_u:object_r:container_file_t:${level}`,
  ],
  [
    ["level:s0:c100,c200"],
    "system_u:system_r:container_t:s0:c100,c200",
    "system_u:object_r:container_file_t:s0:c100,c200",
  ],
  [["user:u"], `u:system_r:container_t:${level}`, `u:object_r:container_file_t:${level}`],
  [["role:r"], `system_u:r:container_t:${level}`, `system_u:object_r:container_file_t:${level}`],
  [["filetype:f_t"], `system_u:system_r:container_t:${level}`, `system_u:object_r:f_t:${level}`],
  [["type:a_t", "type:b_t"], `system_u:system_r:b_t:${level}`, `system_u:object_r:container_file_t:${level}`],
];
for (const [words, processLabel, mountLabel] of rows)
  test(`label words ${JSON.stringify(words)}`, () =>
    assert.deepEqual(
      chooseLabels(base, words, () => level),
      { processLabel, mountLabel },
    ));

test("a policy without levels gives none", () => {
  const never = (): string => assert.fail("no level is asked for");
  assert.deepEqual(chooseLabels(plain, [], never), {
    processLabel: "system_u:system_r:container_t",
    mountLabel: "system_u:object_r:container_file_t",
  });
});

test("wrong words, as Docker says it", () => {
  const refused: readonly (readonly [word: string, message: string])[] = [
    [
      "nonsense",
      "bad label option \"nonsense\", valid options 'disable' or \n'user, role, level, type, filetype' followed by ':' and a value",
    ],
    ["color:red", "bad label option \"color\", valid options 'disable, user, role, level, type, filetype'"],
  ];
  for (const [word, message] of refused)
    assert.throws(() => chooseLabels(base, [word], () => level), { message, kind: "invalidArgument" });
});

test("another container gets the same label by its words", () => {
  const label = `system_u:system_r:container_t:${level}`;
  assert.equal(chooseLabels(base, wordsOf(label), () => "s0:c7,c8").processLabel, label);
  assert.deepEqual(wordsOf(""), []);
  assert.deepEqual(wordsOf("a:b:c"), ["user:a", "role:b", "type:c"]);
});

test("levels are two ascending categories, and nobody else's", () => {
  const draws = [5, 5, 2, 1, 1022, 1023, 7, 6];
  // Two that are the same, one that is taken, and the files' that nobody may have are passed over.
  assert.equal(
    freshLevel(
      (text) => text === "s0:c1,c2",
      () => draws.shift()!,
    ),
    "s0:c6,c7",
  );
  const taken = new Set<string>();
  for (let i = 0; i < 2000; i++) {
    const found = freshLevel((text) => taken.has(text));
    const [, first = "", second = ""] = /^s0:c(\d+),c(\d+)$/.exec(found) ?? [];
    assert.ok(Number(first) < Number(second) && Number(second) < 1024, found);
    taken.add(found);
  }
  assert.equal(taken.size, 2000);
});

test("what a mount's mode asks for", () => {
  const modes = {
    "": undefined,
    ro: undefined,
    z: "shared",
    "ro,Z": "private",
    "z,ro": "shared",
    rz: undefined,
  };
  for (const [mode, kind] of Object.entries(modes)) assert.equal(relabelling(mode), kind, mode);
  assert.equal(sharedLabel(`a:b:c_t:${level}`), "a:b:c_t:s0");
  assert.equal(sharedLabel(""), "");
});

test("the system's own places are not relabelled", () => {
  for (const path of ["/", "/usr", "/etc/", "/var/lib", "/root", "/home/me"])
    assert.throws(
      () => checkRelabel(path, "/home/me"),
      /^EngineError: SELinux relabeling of \S+ is not allowed$/,
    );
  for (const path of ["/srv/data", "/home/other", "/usr/local/share", "/etcetera"])
    checkRelabel(path, "/home/me");
});

test("the option of a mount is in quotes", () => {
  assert.deepEqual(contextOption("a:b:c:s0:c1,c2"), ['context="a:b:c:s0:c1,c2"']);
  assert.deepEqual(contextOption(""), []);
});
