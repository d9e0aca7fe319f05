/** Builds that are refused or fail, through the classic door: the words and the code of Docker's own command line. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { dockerBuild, type TestFile } from "../helpers/build.ts";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

type Files = Readonly<Record<string, TestFile>>;

describe("faults of builds", () => {
  const suite = useDaemon({ leaves: ["data-root", "records"] });

  const faults: readonly {
    readonly name: string;
    readonly dockerfile: string;
    readonly files?: Files;
    readonly args?: readonly string[];
    readonly code: number;
    readonly error: RegExp;
  }[] = [
    {
      name: "a failing RUN",
      dockerfile: "RUN echo last words; exit 7",
      code: 7,
      error: /The command '\/bin\/sh -c echo last words; exit 7' returned a non-zero code: 7/,
    },
    {
      name: "an unknown instruction",
      dockerfile: "RNU true",
      code: 1,
      error: /unknown instruction: RNU.*RUN/s,
    },
    {
      name: "an unknown flag",
      dockerfile: "RUN --mout=type=cache true",
      code: 1,
      error: /unknown flag: -{0,2}mout/,
    },
    {
      name: "an unknown stage",
      dockerfile: "",
      args: ["--target", "no"],
      code: 1,
      error: /failed to reach build target no in Dockerfile/,
    },
    {
      name: "a name of a stage that none has",
      dockerfile: `FROM ${busybox} AS build\nFROM ${busybox}\nCOPY --from=biuld /x /`,
      code: 1,
      error: /biuld is no stage of the Dockerfile \(did you mean build\?\), and as an image: /,
    },
    {
      name: "a circle of stages",
      dockerfile: `FROM ${busybox} AS a\nCOPY --from=b /x /\nFROM ${busybox} AS b\nCOPY --from=a /x /`,
      code: 1,
      error: /circular dependency detected on stage: b/,
    },
    {
      name: "a missing file",
      dockerfile: "COPY missing.txt /",
      code: 1,
      error: /Dockerfile:2: .*"\/missing\.txt": not found in the build context/,
    },
    {
      name: "a link out of the context to nothing",
      dockerfile: "COPY link /x",
      files: { link: { link: "/etc/shadow" } },
      code: 1,
      error: /"\/link": not found in the build context/,
    },
    {
      name: "a user that is not there",
      dockerfile: "COPY --chown=nosuch a /",
      files: { a: "" },
      code: 1,
      error: /unable to find user nosuch/,
    },
    {
      name: "a base that cannot be had",
      dockerfile: "FROM 127.0.0.1:1/none",
      code: 1,
      error: /127\.0\.0\.1:1/,
    },
    {
      name: "a secret that is required",
      dockerfile: "RUN --mount=type=secret,id=s,required=true true",
      code: 1,
      error: /secret s: not found/,
    },
    { name: "a program that is not there", dockerfile: 'RUN ["/no/such"]', code: 1, error: /no such/i },
    {
      name: "a directory where a file is",
      dockerfile: "RUN touch /f\nCOPY d /f",
      files: { "d/x": "" },
      code: 1,
      error: /cannot copy to non-directory: \/f/,
    },
  ];
  for (const { name, dockerfile, files = {}, args = [], code, error } of faults)
    test(`refused: ${name}`, async () => {
      const result = await dockerBuild(
        suite.daemon,
        { Dockerfile: `FROM ${busybox}\n${dockerfile}\n`, ...files },
        args,
      );
      assert.match(result.stdout + result.stderr, error);
      assert.equal(result.code, code, result.stderr);
    });
});
