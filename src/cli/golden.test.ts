import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { CommandContext } from "./command.ts";
import { runCli } from "./cli.ts";

/** Transcripts of command lines; `GANTRY_UPDATE_GOLDEN=1` writes them anew. */
const directory = join(import.meta.dirname, "..", "..", "test", "fixtures", "golden", "cli");

interface Transcript {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function transcript(words: readonly string[]): Promise<Transcript> {
  let [stdout, stderr] = ["", ""];
  const context = {
    get client(): never {
      throw new Error("this command line asks no daemon");
    },
    stdout: { columns: 100 },
    env: {},
    defaultHost: () => "unix:///run/gantry/gantry.sock",
    contextName: () => "default",
    endpoint: () => ({ host: "unix:///run/gantry/gantry.sock", isNamed: false, tls: undefined }),
    print: (text: string) => void (stdout += text),
    printError: (line: string) => void (stderr += `${line}\n`),
    config: () => ({}),
  };
  const makeContext = (): CommandContext => context as unknown as CommandContext;
  const exitCode = await runCli(words, { env: {}, makeContext });
  return { exitCode, stdout, stderr };
}

const commandLines: readonly (readonly [file: string, line: string])[] = [
  ["root-help", "--help"],
  ["root-help-without-words", ""],
  ["version-flag", "-v"],
  ["container-help", "container --help"],
  ["image-help", "image"],
  ["volume-help", "volume --help"],
  ["network-help", "network --help"],
  ["network-create-help", "network create --help"],
  ["compose-help", "compose --help"],
  ["compose-up-help", "compose up --help"],
  ["compose-run-help", "fig run --help"],
  ["compose-config-help", "compose config --help"],
  ["compose-unknown-command", "compose upp"],
  ["compose-unknown-flag", "compose --foo up"],
  ["compose-bad-combination", "compose up -d --abort-on-container-exit"],
  ["stats-help", "stats --help"],
  ["system-help", "system --help"],
  ["run-help", "run --help"],
  ["ps-help", "container ls --help"],
  ["images-help", "help images"],
  ["inspect-help", "inspect --help"],
  ["exec-help", "exec --help"],
  ["cp-help", "cp --help"],
  ["completion-help", "completion --help"],
  ["pull-help", "pull --help"],
  ["push-help", "push --help"],
  ["login-help", "login --help"],
  ["logout-help", "logout --help"],
  ["unknown-command", "insepct x"],
  ["unknown-command-without-neighbour", "frobnicate"],
  ["unknown-command-in-group", "container lss"],
  ["unserved-command", "swarm init"],
  ["unknown-flag", "run --foo busybox"],
  ["unknown-letter", "ps -y"],
  ["unknown-global-flag", "--foo ps"],
  ["bad-value", "run -m x busybox"],
  ["missing-value", "run --name"],
  ["too-few-arguments", "inspect"],
  ["too-many-arguments", "ps x"],
  ["wrong-number-of-arguments", "history a b"],
  ["two-hosts", "-H a -H b ps"],
  ["bad-template", "inspect -f {{.Foo x"],
];

for (const [file, line] of commandLines) {
  test(`gantry ${line}`, async () => {
    const { exitCode, stdout, stderr } = await transcript(line === "" ? [] : line.split(" "));
    const actual = `$ gantry ${line}\n${stdout}${stderr === "" ? "" : `--- stderr\n${stderr}`}--- exit ${exitCode}\n`;
    for (const text of actual.split("\n")) assert.ok(text.length <= 110, `too wide: ${text}`);
    const path = join(directory, `${file}.txt`);
    if (process.env["GANTRY_UPDATE_GOLDEN"] === "1") {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, actual);
    }
    assert.equal(actual, readFileSync(path, "utf8"));
  });
}
