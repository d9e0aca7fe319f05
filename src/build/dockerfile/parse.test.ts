import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Instruction, RunInstruction, SourceRange } from "./ast.ts";
import { DockerfileError } from "./error.ts";
import { expandInstruction, stepName } from "./expand.ts";
import { runScript } from "./heredoc.ts";
import { checkFrontend, parseDockerfile, parseTriggers } from "./parse.ts";
import { StageScope, metaVariables, platformArgs, proxyEnvironment, unknownBuildArgs } from "./scope.ts";
import { nearest } from "./suggest.ts";

const amd64 = { os: "linux", architecture: "amd64" };
const escape = "\\" as const;

function instructions(text: string): readonly Instruction[] {
  return parseDockerfile({ name: "Dockerfile", text: `FROM scratch\n${text}` }).stages[0]!.instructions;
}

const line = fc.oneof(
  fc.constantFrom(
    "FROM a AS b",
    "RUN x \\",
    "  # comment",
    "",
    "COPY <<EOF /x",
    "EOF",
    "ENV A=$B",
    "# escape=`",
    "CMD [",
    "ONBUILD RUN <<EOF",
    "LABEL a='",
    "HEALTHCHECK --interval=1s CMD x",
    "RUN --mount=type=bind,source=.",
  ),
  fc.string(),
);

test("any text is a Dockerfile or a fault with a place in it, and places follow each other", () => {
  fc.assert(
    fc.property(fc.array(line), fc.constantFrom("\n", "\r\n"), (parts, end) => {
      const text = parts.join(end);
      const last = text.split("\n").length;
      const inside = ({ start, end: behind }: SourceRange): void => {
        assert(start.line >= 1 && behind.line <= last && start.line <= behind.line);
      };
      try {
        const file = parseDockerfile({ name: "Dockerfile", text });
        let at = 0;
        for (const { range } of [
          ...file.metaArgs,
          ...file.stages.flatMap((stage) => [stage, ...stage.instructions]),
        ]) {
          inside(range);
          assert(range.start.line > at);
          at = range.end.line;
        }
      } catch (error) {
        if (!(error instanceof DockerfileError)) throw error;
        if (error.range !== undefined) inside(error.range);
      }
    }),
    { numRuns: 500 },
  );
});

test("an instruction on one line is what it is when continued at each blank", () => {
  const words = fc.array(fc.stringMatching(/^[a-z0-9./$=][a-z0-9./$=-]{0,7}$/), { minLength: 1 });
  fc.assert(
    fc.property(words, (list) => {
      const one = instructions(`RUN ${list.join(" ")}`)[0] as RunInstruction;
      const continued = instructions(`RUN ${list.join(" \\\n# comment\n")}`)[0] as RunInstruction;
      assert.deepEqual(continued.command, one.command);
      assert.equal(continued.code, one.code);
    }),
  );
});

test("frontends that speak our language are ours, others are refused", () => {
  for (const ours of [
    "docker/dockerfile",
    "docker/dockerfile:1",
    "docker/dockerfile:1.7-labs",
    "docker.io/docker/dockerfile:1.4.0",
    "docker/dockerfile-upstream:master",
    `docker/dockerfile:1@sha256:${"a".repeat(64)}`,
  ])
    checkFrontend(ours);
  for (const other of ["docker/other:1", "ghcr.io/docker/dockerfile:1", "dockerfile", "docker/dockerfiles"])
    assert.throws(() => checkFrontend(other), /is not supported/);
});

test("arguments come from the command line, from their default, or from before FROM", () => {
  const dockerfile = parseDockerfile({
    name: "Dockerfile",
    text: "ARG A=1\nARG B=${A}2\nARG C\nFROM scratch\nARG B\nARG C=3\nARG TARGETARCH\nARG D=$B$C E",
  });
  const buildArgs = { A: "9", C: "c" };
  const predefined = platformArgs(
    { build: amd64, target: { ...amd64, architecture: "arm64" } },
    "",
    buildArgs,
  );
  const meta = metaVariables(dockerfile, predefined, buildArgs);
  assert.equal(meta.get("B"), "92");
  assert.equal(meta.get("TARGETPLATFORM"), "linux/arm64");
  assert.equal(meta.get("TARGETSTAGE"), "default");
  const scope = StageScope.onImage(["PATH=/bin"]);
  for (const instruction of dockerfile.stages[0]!.instructions)
    if (instruction.kind === "arg") scope.declare(instruction, { dockerfile, meta, buildArgs });
  assert.deepEqual(
    [...scope.variables],
    [
      ["PATH", "/bin"],
      ["B", "92"],
      ["C", "c"],
      ["TARGETARCH", "arm64"],
      ["D", "92c"],
    ],
  );
  assert.equal(scope.historyPrefix(), "|5 B=92 C=c TARGETARCH=arm64 D=92c E= ");
  const child = StageScope.onStage(scope);
  child.setEnv("B", "changed");
  assert.equal(scope.variables.get("B"), "92");
  assert.equal(child.historyPrefix(), "|5 B=changed C=c TARGETARCH=arm64 D=92c E= ");
});

test("arguments that nothing names are told, but not the predefined ones", () => {
  const dockerfile = parseDockerfile({ name: "Dockerfile", text: "ARG A\nFROM scratch\nARG B" });
  const asked = { A: "", B: "", X: "", HTTP_PROXY: "p", TARGETARCH: "a", SOURCE_DATE_EPOCH: "0" };
  assert.deepEqual(unknownBuildArgs(dockerfile, asked), ["X"]);
  assert.deepEqual(proxyEnvironment({ HTTP_PROXY: "p", no_proxy: "n", FTP_PROXY: "" }), {
    http_proxy: "p",
    HTTP_PROXY: "p",
    no_proxy: "n",
    NO_PROXY: "n",
  });
});

test("mounts, paths and ports get their values, quotes go", () => {
  const variables = new Map([
    ["ID", "7"],
    ["DIR", "my dir"],
    ["PORTS", "80 81/udp"],
  ]);
  const source = { name: "Dockerfile", text: "" };
  const list = instructions(
    `RUN --mount=type=cache,id=c$ID,target=/c true\nCOPY "$DIR/a" 'b' /$DIR/\nEXPOSE $PORTS 9\nCOPY <<A <<'B' /x\n"$ID"\nA\n$ID\nB`,
  );
  const [run, copy, expose, documents] = list.map((instruction) =>
    expandInstruction(instruction, { variables, escape, source }),
  );
  assert.equal(run?.kind === "run" && run.mounts[0]?.id, "c7");
  assert.deepEqual(copy?.kind === "copy" && [copy.sources, copy.destination], [
    ["my dir/a", "b"],
    "/my dir/",
  ]);
  assert.deepEqual(expose?.kind === "expose" && [...expose.ports].sort(), ["80", "81/udp", "9"]);
  assert.deepEqual(documents?.kind === "copy" && documents.heredocs.map(({ data }) => data), [
    '"7"\n',
    "$ID\n",
  ]);
});

test("documents of RUN become the shell's text, or a program of their own", () => {
  const script = (text: string): unknown => runScript((instructions(text)[0] as RunInstruction).command);
  assert.deepEqual(script("RUN <<EOF\na\nb\nEOF"), { kind: "text", text: "a\nb\n" });
  assert.deepEqual(script("RUN <<-EOF\n\ta\n\tEOF"), { kind: "text", text: "a\n" });
  assert.deepEqual(script("RUN <<EOF\n#!/usr/bin/env python3\nprint()\nEOF"), {
    kind: "file",
    name: "EOF",
    data: "#!/usr/bin/env python3\nprint()\n",
  });
  assert.deepEqual(script("RUN cat <<A <<B\n1\nA\n2\nB"), { kind: "text", text: "cat <<A <<B\n1\nA\n2\nB" });
  assert.deepEqual(script("RUN echo plain"), { kind: "text", text: "echo plain" });
});

test("steps are named by their text, values shown and secrets hidden", () => {
  const name = (text: string): string => stepName(instructions(text)[0]!, new Map([["V", "1"]]), escape);
  assert.equal(name(`run echo "$V" '$V' $HOME`), `RUN echo "1" '$V' $HOME`);
  assert.equal(name("RUN <<EOF\nfirst\nsecond\nEOF"), "RUN <<EOF (first...)");
  assert.equal(
    name("RUN --mount=type=secret,id=t,env=TOKEN echo $TOKEN"),
    "RUN --mount=type=secret,id=t,env=TOKEN echo ****",
  );
  assert.equal(name("RUN echo 'open"), "RUN echo 'open");
});

test("triggers of a base image are instructions at FROM's place", () => {
  const where = {
    source: { name: "Dockerfile", text: "FROM x" },
    stage: { range: { start: { line: 1, character: 0 }, end: { line: 1, character: 6 } } },
  };
  const [run] = parseTriggers(["RUN <<EOF\na\nEOF"], where);
  assert.equal(run?.kind === "run" && run.command.heredocs[0]?.data, "a\n");
  assert.deepEqual(run?.range, where.stage.range);
  assert.throws(() => parseTriggers(["RUN a\nRUN b"], where), /single expression/);
  assert.throws(() => parseTriggers(["NOPE"], where), { name: "EngineError", range: where.stage.range });
});

test("the nearest word is the one with fewest slips", () => {
  const names = ["RUN", "ENV", "COPY", "FROM", "HEALTHCHECK"];
  const table: [string, string | undefined][] = [
    ["RNU", "RUN"],
    ["cpoy", "copy"],
    ["Form", "from"],
    ["HEALTCHECK", "HEALTHCHECK"],
    ["RUN", undefined],
    ["INSTALL", undefined],
  ];
  for (const [word, expected] of table)
    assert.equal(nearest(word, names, { ignoreCase: true }), expected, word);
});
