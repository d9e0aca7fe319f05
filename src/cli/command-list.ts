import { commands, groups } from "./commands.ts";
import type { CommandLine } from "./help.ts";

/** Names of the commands in a group, or of those without one and of the groups for "". Hidden ones are left out. */
export function commandNames(group: string): string[] {
  const names = Object.keys(commands).filter((path) => !path.startsWith("__"));
  if (group === "") return [...names.filter((path) => !path.includes(" ")), ...Object.keys(groups), "help"];
  return names.filter((path) => path.startsWith(`${group} `)).map((path) => path.slice(group.length + 1));
}

/** The lines of a list of commands, sorted by name. In a group only the first of a command's names there is listed. */
export async function listCommands(group: string): Promise<CommandLine[]> {
  const lines: CommandLine[] = [];
  for (const [path, load] of Object.entries(commands)) {
    const isMember = group === "" ? !path.includes(" ") : path.startsWith(`${group} `);
    if (!isMember) continue;
    const { default: command } = await load();
    if (command.hidden === true) continue;
    const inGroup = [command.path, ...(command.aliases ?? [])].filter((name) => name.startsWith(`${group} `));
    if (group !== "" && inGroup[0] !== path) continue;
    const name = group === "" ? path : path.slice(group.length + 1);
    lines.push({ name, short: command.short, section: command.section ?? "other" });
  }
  if (group === "") {
    for (const [name, short] of Object.entries(groups)) lines.push({ name, short, section: "management" });
  }
  return lines.sort((a, b) => (a.name < b.name ? -1 : 1));
}
