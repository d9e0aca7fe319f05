import type { Command } from "./command.ts";

export type CommandLoader = () => Promise<{ readonly default: Command }>;

/**
 * Every name of every command, with how to load it: a start loads the file of its own command and no other.
 * A unit test holds this table and the `path` and `aliases` of the commands together.
 */
export const commands: Readonly<Record<string, CommandLoader>> = {};

/** What the groups are for. */
export const groups: Readonly<Record<string, string>> = {
  container: "Work with containers",
  image: "Work with images",
  system: "Work with the daemon as a whole",
};

const unservedAtTop =
  "build builder buildx checkpoint commit compose config context cp diff export login logout manifest network node " +
  "pause plugin port pull push search secret service stack stats swarm trust unpause update volume";

/** Commands that Docker has and gantry has not, by group; "" for those without one. */
export const unservedCommands: Readonly<Record<string, readonly string[]>> = {
  "": unservedAtTop.split(" "),
  container: ["commit", "cp", "diff", "export", "pause", "port", "prune", "stats", "unpause", "update"],
  image: ["build", "prune", "pull", "push"],
  system: ["df", "dial-stdio", "prune"],
};
