/**
 * Writes docs/compatibility.md: every route of Docker's Engine API, every command and flag of Docker's command line, and
 * what gantry does with it. The facts about Docker are lists of names in test/fixtures; those about gantry are its own
 * tables, and for the flags of `run` what its command line and its engine say when they are given one.
 *
 *   npm run docs:compatibility               write the page
 *   node scripts/compatibility.ts --check    exit with 1 when the page is out of date
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { routeSupport } from "../src/api/routes.ts";
import type { Command } from "../src/cli/command.ts";
import { commands, groups, unservedCommands } from "../src/cli/commands.ts";
import { flagLabel, type FlagSpec } from "../src/cli/flags.ts";
import { daemonFlags } from "../src/cli/flags/daemon.ts";
import { globalFlags } from "../src/cli/global-flags.ts";
import { probeRunFlags, refusedValues } from "./probe-run-flags.ts";

const root = join(import.meta.dirname, "..");
export const compatibilityPage = join(root, "docs/compatibility.md");

interface DockerNames {
  readonly cliVersion: string;
  /** Names apart by spaces, here and below. */
  readonly globalFlags: string;
  readonly daemonVersion: string;
  readonly daemonFlags: string;
  /** Flags by a command's path without the program's name. */
  readonly commands: Readonly<Record<string, string>>;
}

function readFixture(name: string): unknown {
  return JSON.parse(readFileSync(join(root, "test/fixtures", name), "utf8"));
}

interface FlagSupport {
  readonly served: readonly string[];
  readonly refused: readonly string[];
  readonly absent: readonly string[];
}

/** Which of Docker's flags are served; `refusedByEngine` are those that the daemon turns down. */
export function flagSupport(
  theirs: string,
  ours: readonly FlagSpec[],
  refusedByEngine: ReadonlySet<string> = new Set(),
): FlagSupport {
  // Every command has its help.
  const names = theirs.split(" ").filter((name) => name !== "" && name !== "help");
  const find = (name: string): FlagSpec | undefined => ours.find((flag) => flag.name === name);
  const isRefused = (name: string): boolean =>
    find(name)?.refused !== undefined || (find(name) !== undefined && refusedByEngine.has(name));
  return {
    served: names.filter((name) => find(name) !== undefined && !isRefused(name)),
    refused: names.filter(isRefused),
    absent: names.filter((name) => find(name) === undefined),
  };
}

const docker = readFixture("docker-cli-flags.json") as DockerNames;

/** Docker's commands that gantry has, each once, with gantry's file for it. */
async function presentCommands(): Promise<Map<string, Command>> {
  const present = new Map<string, Command>();
  for (const [path, load] of Object.entries(commands)) {
    if (path.startsWith("__") || !Object.hasOwn(docker.commands, path)) continue;
    const { default: command } = await load();
    if (command.path === path) present.set(path, command);
  }
  return present;
}

/** How a command of Docker's that gantry has not is answered. */
function isRefusedCommand(path: string): boolean {
  const [first = "", second = ""] = path.split(" ");
  const group = Object.hasOwn(groups, first) ? first : "";
  return unservedCommands[group]?.includes(group === "" ? first : second) === true;
}

/** The page's text. */
export async function renderCompatibility(): Promise<string> {
  return [
    "# Compatibility with Docker",
    "",
    "Made by `npm run docs:compatibility` from gantry's own tables; a unit test fails when it is out of date.",
    "",
    "- **served**: it does what Docker's does.",
    "- **refused**: it is known, and answers with a sentence that says so.",
    "- **not there**: gantry does not know the name, and says that.",
    "",
    ...apiSection(),
    ...(await commandSection()),
    ...refusedValueSection(),
    ...daemonSection(),
  ].join("\n");
}

function apiSection(): string[] {
  const { apiVersion } = readFixture("engine-api-routes.json") as { apiVersion: string };
  const all = routeSupport();
  const served = all.filter(({ support }) => support === "served").length;
  return [
    `## Engine API ${apiVersion}`,
    "",
    `${served} of ${all.length} operations are served, under every version from 1.24 to ${apiVersion}. A refused one`,
    "answers 501; 503 where it belongs to swarm mode; 404 where it names a plugin.",
    "",
    "| operation | |",
    "| --- | --- |",
    ...all.map(({ method, path, support }) => `| \`${method} ${path}\` | ${support} |`),
    "",
  ];
}

async function commandSection(): Promise<string[]> {
  const present = await presentCommands();
  const otherNames = new Set([...present.values()].flatMap(({ aliases }) => aliases ?? []));
  const missing = Object.keys(docker.commands).filter((path) => !present.has(path) && !otherNames.has(path));
  const own = Object.keys(commands).filter(
    (path) => !(path in docker.commands) && !path.startsWith("__") && !otherNames.has(path),
  );
  const refusedByEngine = new Set((await probeRunFlags()).map(({ flag }) => flag));
  const byName = [...present].sort(([a], [b]) => (a < b ? -1 : 1));
  const rows = byName.map(([path, command]) => {
    const forEngine = path === "run" || path === "create" ? refusedByEngine : undefined;
    return commandRow(path, command, flagSupport(docker.commands[path]!, command.flags, forEngine));
  });
  return [
    `## Command line, compared with docker ${docker.cliVersion}`,
    "",
    "| command | other names | served flags | refused flags | flags not there |",
    "| --- | --- | --- | --- | --- |",
    `| (any) | | ${cells(flagSupport(docker.globalFlags, globalFlags))} |`,
    ...rows,
    "",
    "### Commands that are refused",
    "",
    paragraph(missing.filter(isRefusedCommand)),
    "",
    "### Commands that are not there",
    "",
    paragraph(missing.filter((path) => path !== "help" && !isRefusedCommand(path))),
    "",
    "### Commands that Docker's command line has not",
    "",
    paragraph(own),
    "",
  ];
}

function commandRow(path: string, command: Command, support: FlagSupport): string {
  const others = (command.aliases ?? []).filter((name) => name !== path).map((name) => `\`${name}\``);
  return `| \`${path}\` | ${others.join(" ")} | ${cells(support)} |`;
}

function refusedValueSection(): string[] {
  return [
    "### Values of served flags that are refused",
    "",
    "| `run` and `create` with | answer |",
    "| --- | --- |",
    ...refusedValues().map(({ words, message }) => `| \`${words}\` | ${message} |`),
    "",
  ];
}

function daemonSection(): string[] {
  const theirs = docker.daemonFlags.split(" ");
  const { served, refused, absent } = flagSupport(docker.daemonFlags, daemonFlags);
  const own = daemonFlags.filter(({ name }) => !theirs.includes(name)).map(flagLabel);
  return [
    `## The daemon's flags, compared with dockerd ${docker.daemonVersion}`,
    "",
    `Served: ${flagList(served)}`,
    "",
    `Refused: ${flagList(refused)}`,
    "",
    `Not there: ${flagList(absent)}`,
    "",
    ...(own.length === 0 ? [] : [`Gantry's own: ${own.map((label) => `\`${label}\``).join(" ")}`, ""]),
  ];
}

const flagList = (names: readonly string[]): string =>
  names.length === 0 ? "–" : names.map((name) => `\`--${name}\``).join(" ");

const cells = ({ served, refused, absent }: FlagSupport): string =>
  [served, refused, absent].map(flagList).join(" | ");

const paragraph = (paths: readonly string[]): string =>
  paths.length === 0 ? "None." : paths.map((path) => `\`${path}\``).join(", ");

if (import.meta.main) {
  const text = await renderCompatibility();
  if (!process.argv.includes("--check")) writeFileSync(compatibilityPage, text);
  else if (readFileSync(compatibilityPage, "utf8") !== text) {
    process.stderr.write("docs/compatibility.md is out of date: run npm run docs:compatibility\n");
    process.exitCode = 1;
  }
}
