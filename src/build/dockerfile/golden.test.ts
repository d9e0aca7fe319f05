/**
 * Each folder of test/fixtures/dockerfile has a Dockerfile and what reading it gives: the tree in short, what the build
 * checks find, or the fault with its excerpt. `GANTRY_UPDATE_GOLDEN=1` writes the results anew.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Dockerfile, SourceRange } from "./ast.ts";
import { checkDockerfile } from "./check.ts";
import { DockerfileError, excerpt } from "./error.ts";
import { parseDockerfile } from "./parse.ts";
import { platformArgs } from "./scope.ts";

const folder = join(import.meta.dirname, "../../../test/fixtures/dockerfile");
const amd64 = { os: "linux", architecture: "amd64" };

const place = ({ start, end }: SourceRange): string =>
  `${start.line}:${start.character}-${end.line}:${end.character}`;

function shown({ directives, metaArgs, stages }: Dockerfile): string[] {
  const lines = [
    `escape ${directives.escape}`,
    ...(directives.syntax === undefined ? [] : [`syntax ${directives.syntax.value}`]),
    ...(directives.check === undefined ? [] : [`check ${directives.check.value}`]),
  ];
  const node = (value: { range: SourceRange; code: string }): void => {
    const { range, code, ...fields } = value;
    lines.push(`${place(range)} ${JSON.stringify(code)}`);
    for (const [key, field] of Object.entries(fields)) {
      if (key === "instructions" || (Array.isArray(field) && field.length === 0)) continue;
      lines.push(`    ${key}: ${JSON.stringify(field)}`);
    }
  };
  metaArgs.forEach(node);
  for (const stage of stages) {
    node(stage);
    stage.instructions.forEach(node);
  }
  return lines;
}

function result(text: string): string {
  const source = { name: "Dockerfile", text };
  try {
    const dockerfile = parseDockerfile(source);
    const lines = shown(dockerfile);
    const report = checkDockerfile(dockerfile, {
      buildArgs: {},
      predefined: platformArgs({ build: amd64, target: amd64 }, "", {}),
      baseOf: () => ({ env: ["PATH=/bin"] }),
    });
    for (const { rule, message, range } of report.warnings)
      lines.push(`warning ${place(range)} ${rule}: ${message}`);
    if (report.failure !== undefined) lines.push(`failure: ${report.failure}`);
    return `${lines.join("\n")}\n`;
  } catch (error) {
    assert(error instanceof DockerfileError, String(error));
    const lines = error.range === undefined ? "" : excerpt(source, error.range);
    return `${error.message}\n${lines}`;
  }
}

for (const name of readdirSync(folder).sort())
  test(`the Dockerfile of ${name} is read as written down`, () => {
    const got = result(readFileSync(join(folder, name, "Dockerfile"), "utf8"));
    const path = join(folder, name, "result");
    if (process.env["GANTRY_UPDATE_GOLDEN"] === "1") writeFileSync(path, got);
    else assert.equal(got, existsSync(path) ? readFileSync(path, "utf8") : "");
  });
