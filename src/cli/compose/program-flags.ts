import type { FlagSpec } from "../flags.ts";

/** What `exec` and `run` say of the program. */
export const programFlags = {
  env: {
    name: "env",
    short: "e",
    type: "list",
    placeholder: "NAME=VALUE",
    help: "Set an environment variable",
  },
  noTerminal: {
    name: "no-TTY",
    short: "T",
    type: "bool",
    help: "Give the program no terminal; it has one where there is one here",
  },
  terminal: {
    name: "tty",
    short: "t",
    type: "bool",
    default: true,
    help: "Give the program a terminal",
    hidden: true,
  },
  user: { name: "user", short: "u", type: "string", help: "User that the program runs as" },
  workdir: { name: "workdir", short: "w", type: "string", help: "Working directory of the program" },
} as const satisfies Readonly<Record<string, FlagSpec>>;
