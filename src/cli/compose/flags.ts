import type { FlagSpec } from "../flags.ts";

/** Before the command or behind it. */
export const dryRunFlag: FlagSpec = {
  name: "dry-run",
  type: "bool",
  help: "Show what would be done, and do nothing",
};

/** Flags between `compose` and its command. */
const projectFlags: readonly FlagSpec[] = [
  {
    name: "ansi",
    type: "string",
    default: "auto",
    placeholder: "WHEN",
    help: "When to draw with colours and moving lines: never, always or auto",
    validate: oneOf("never", "always", "auto"),
  },
  {
    name: "compatibility",
    type: "bool",
    help: "Name containers with underscores, as Compose 1 did",
  },
  dryRunFlag,
  {
    name: "env-file",
    type: "list",
    placeholder: "FILE",
    help: "Read variables from this file instead of .env",
  },
  {
    name: "file",
    short: "f",
    type: "list",
    placeholder: "FILE",
    help: "Compose file; several are merged in order",
  },
  {
    name: "parallel",
    type: "int",
    default: -1,
    help: "How many requests may be under way at the same time; -1 for no limit",
  },
  { name: "profile", type: "list", placeholder: "NAME", help: "Enable the services of a profile" },
  {
    name: "progress",
    type: "string",
    default: "auto",
    placeholder: "KIND",
    help: "How progress is shown: auto, tty, plain or quiet",
    validate: oneOf("auto", "tty", "plain", "quiet"),
  },
  {
    name: "project-directory",
    type: "string",
    placeholder: "DIRECTORY",
    help: "Where relative paths start; the directory of the first file unless given",
  },
  { name: "project-name", short: "p", type: "string", placeholder: "NAME", help: "Name of the project" },
  { name: "verbose", type: "bool", help: "Show more output", hidden: true },
  { name: "version", short: "v", type: "bool", help: "Show the version", hidden: true },
  { name: "workdir", type: "string", help: "Another spelling", hidden: true, aliasOf: "project-directory" },
  { name: "no-ansi", type: "bool", help: "The same as --ansi never", hidden: true },
];

export default projectFlags;

function oneOf(...words: string[]): (value: string) => void {
  return (value) => {
    if (!words.includes(value)) throw new Error(`use ${words.slice(0, -1).join(", ")} or ${words.at(-1)!}`);
  };
}
