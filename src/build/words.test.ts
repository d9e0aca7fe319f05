import assert from "node:assert/strict";
import { test } from "node:test";
import type { Instruction } from "./dockerfile/ast.ts";
import { parseDockerfile } from "./dockerfile/parse.ts";
import { parseMode, parseOwner } from "./file-options.ts";
import { formatDuration } from "../base/duration.ts";
import { applyInstruction, type ConfigDraft, datedHistory } from "./image-config.ts";
import { planBuild } from "./plan.ts";
import { parseGitUrl } from "./git-sources.ts";
import { durationMs, filterTest } from "./cache-prune.ts";

const instructions = (text: string): readonly Instruction[] =>
  parseDockerfile({ name: "Dockerfile", text: `FROM scratch\n${text}\n` }).stages[0]!.instructions;

function draftOf(text: string): ConfigDraft {
  const draft: ConfigDraft = { config: {}, author: undefined, history: [], hasOwnCmd: false };
  for (const instruction of instructions(text)) applyInstruction(draft, instruction);
  return draft;
}

test("what instructions write into history", () => {
  for (const [text, wanted] of [
    ["ENV A=1 B=2", "ENV A=1 B=2"],
    ["EXPOSE 80 53/udp 9000-9001", "EXPOSE map[53/udp:{} 80/tcp:{} 9000/tcp:{} 9001/tcp:{}]"],
    ['CMD ["a", "b \\"c\\""]', 'CMD ["a" "b \\"c\\""]'],
    ["CMD a b", 'CMD ["/bin/sh" "-c" "a b"]'],
    ['SHELL ["/bin/bash", "-c"]', "SHELL [/bin/bash -c]"],
    ["VOLUME /a /b", "VOLUME [/a /b]"],
    ["HEALTHCHECK NONE", `HEALTHCHECK &{["NONE"] "0s" "0s" "0s" "0s" '\\x00'}`],
    ["MAINTAINER somebody", "MAINTAINER somebody"],
  ] as const)
    assert.equal(draftOf(text).history[0]?.created_by, wanted, text);
});

test("an ENTRYPOINT takes the base's CMD away, and leaves one of its own stage", () => {
  const inherited: ConfigDraft = {
    config: { Cmd: ["old"] },
    author: undefined,
    history: [],
    hasOwnCmd: false,
  };
  for (const instruction of instructions("ENTRYPOINT x")) applyInstruction(inherited, instruction);
  assert.equal(inherited.config.Cmd, undefined);
  assert.deepEqual(draftOf('CMD ["own"]\nENTRYPOINT x').config.Cmd, ["own"]);
});

test("durations as Go writes them", () => {
  for (const [ns, wanted] of [
    [0, "0s"],
    [1_500_000, "1.5ms"],
    [30_000_000_000, "30s"],
    [90_000_000_000, "1m30s"],
    [3_600_000_000_000, "1h0m0s"],
  ] as const)
    assert.equal(formatDuration(ns), wanted);
});

test("history entries without a time have that of the first new layer, or of the one before", () => {
  const dated = datedHistory([
    { created: "1", created_by: "base" },
    { created_by: "env" },
    { created: "5", created_by: "run" },
    { created_by: "cmd" },
  ]);
  assert.deepEqual(
    dated.map(({ created }) => created),
    ["1", "5", "5", "5"],
  );
});

test("modes by number and by letter", () => {
  const file = { type: "file", mode: 0o644 } as const;
  for (const [text, wanted] of [
    ["755", 0o755],
    ["4755", 0o4755],
    ["u+x", 0o744],
    ["a=r,u+w", 0o644],
    ["go-r", 0o600],
    ["+X", 0o644],
    ["u=rwx,go=rx", 0o755],
    ["u+s", 0o4644],
  ] as const)
    assert.equal(parseMode(text)(file), wanted, text);
  assert.equal(parseMode("a+X")({ type: "directory", mode: 0o600 }), 0o711);
  for (const text of ["", "9", "77777", "u", "u+y", "z=r"])
    assert.throws(() => parseMode(text), /invalid chmod parameter/);
});

test("owners by number need no root, names do", () => {
  assert.deepEqual(parseOwner("5", undefined), { uid: 5, gid: 5 });
  assert.deepEqual(parseOwner("5:6", undefined), { uid: 5, gid: 6 });
  assert.throws(() => parseOwner("name", undefined), /can't find the names/);
});

test("addresses of git repositories", () => {
  for (const [text, wanted] of [
    ["https://h/r.git", { remote: "https://h/r.git", ref: "", subdirectory: "" }],
    ["https://h/r.git#v1:sub/dir", { remote: "https://h/r.git", ref: "v1", subdirectory: "sub/dir" }],
    ["git@h:o/r.git#main", { remote: "git@h:o/r.git", ref: "main", subdirectory: "" }],
    ["github.com/o/r", { remote: "https://github.com/o/r", ref: "", subdirectory: "" }],
    ["https://h/r.git?branch=b&subdir=s", { remote: "https://h/r.git", ref: "b", subdirectory: "s" }],
    ["https://h/file.tar.gz", undefined],
    ["local/path", undefined],
  ] as const)
    assert.deepEqual(parseGitUrl(text), wanted, text);
});

test("only what the target needs is planned, and circles are refused", () => {
  const dockerfile = parseDockerfile({
    name: "Dockerfile",
    text: "FROM scratch AS a\nFROM a AS b\nCOPY --from=c / /\nFROM scratch AS c\nFROM scratch AS d\nCOPY --from=a / /\n",
  });
  const plan = (target: string): string[] =>
    planBuild(dockerfile, { target, meta: new Map(), contexts: new Set() }).stages.map(({ name }) => name!);
  assert.deepEqual(plan("d"), ["a", "d"]);
  assert.deepEqual(plan(""), ["a", "d"]);
  assert.deepEqual(plan("2"), ["c"]);
  assert.throws(() => plan("b"), /circular dependency detected on stage: c/);
  assert.throws(() => plan("dd"), /target stage "dd" could not be found/);
});

test("filters of the build cache", () => {
  const record = {
    id: "abc",
    parents: ["p"],
    type: "regular",
    description: "RUN make",
    inUse: false,
    shared: true,
    sizeBytes: 1,
    createdAt: new Date(Date.now() - 7_200_000).toISOString(),
    lastUsedAt: undefined,
    usageCount: 1,
  } as const;
  for (const [filters, wanted] of [
    [{}, true],
    [{ until: ["1h"] }, true],
    [{ until: ["24h"] }, false],
    [{ id: ["ab"] }, true],
    [{ type: ["regular"] }, true],
    [{ type: ["exec.cachemount"] }, false],
    [{ description: ["make"] }, true],
    [{ shared: ["true"] }, true],
    [{ private: ["true"] }, false],
    [{ inuse: ["false"] }, true],
  ] as const)
    assert.equal(filterTest(filters)(record), wanted, JSON.stringify(filters));
  assert.throws(() => filterTest({ nothing: ["x"] }), /invalid filter 'nothing'/);
  assert.equal(durationMs("1h30m"), 5_400_000);
  assert.throws(() => durationMs("soon"), /invalid duration/);
});
