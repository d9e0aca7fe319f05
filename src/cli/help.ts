import { formatDuration } from "../base/duration.ts";
import type { Command, Section } from "./command.ts";
import type { FlagSpec } from "./flags.ts";
import { twoColumns, wrapText } from "./text-layout.ts";

const programName = "gantry";

/** `Usage:  gantry run [OPTIONS] IMAGE [COMMAND] [ARG...]`, by the name that the user has typed. */
export function usageLine(command: Command, typedPath: string = command.path): string {
  return `Usage:  ${programName} ${typedPath} ${command.usage}`.trimEnd();
}

/** The help of one command, laid out for `width` columns. */
export function commandHelp(command: Command, typedPath: string, width: number): string {
  const blocks = [`${usageLine(command, typedPath)}\n`, paragraph(command.long ?? command.short, width)];
  const names = [...(command.aliases ?? []), command.path];
  if (names.length > 1) {
    const list = names.map((name) => `${programName} ${name}`).join(", ");
    blocks.push(
      `Aliases:\n${wrapText(list, width - 2)
        .map((line) => `  ${line}\n`)
        .join("")}`,
    );
  }
  const options = flagHelp(command.flags, width);
  if (options !== "") blocks.push(`Options:\n${options}`);
  if (command.examples !== undefined) {
    const rows = command.examples.map(([line, meaning]) => `  ${line}\n      ${meaning}\n`);
    blocks.push(`Examples:\n${rows.join("")}`);
  }
  return blocks.join("\n");
}

/** The list of flags; empty when there are none to show. */
function flagHelp(flags: readonly FlagSpec[], width: number): string {
  const shown = flags.filter((flag) => flag.hidden !== true).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const rows = shown.map((flag) => [`${flagName(flag)}   `, flagText(flag)] as const);
  const leftWidth = Math.min(34, Math.max(0, ...rows.map(([left]) => left.length)));
  return twoColumns(rows, leftWidth, width);
}

function flagName(flag: FlagSpec): string {
  const short = flag.short === undefined ? "    " : `-${flag.short}, `;
  const placeholder = flag.placeholder ?? (flag.type === "bool" ? "" : typeWord(flag));
  return `  ${short}--${flag.name}${placeholder === "" ? "" : ` ${placeholder}`}`;
}

function typeWord(flag: FlagSpec): string {
  return flag.type === "uint16" ? "uint" : flag.type;
}

function flagText(flag: FlagSpec): string {
  const value = flag.default;
  const isShown = value !== undefined && value !== false && value !== "" && value !== 0;
  const shownValue =
    typeof value === "string"
      ? JSON.stringify(value)
      : flag.type === "duration"
        ? formatDuration(Number(value))
        : String(value);
  const refusal = flag.refused === undefined ? "" : " (refused)";
  return `${flag.help}${isShown ? ` (default ${shownValue})` : ""}${refusal}`;
}

const sectionTitles: Readonly<Record<Section, string>> = {
  common: "Everyday commands",
  management: "Commands by subject",
  other: "More commands",
};

/** One line of a list of commands. */
export interface CommandLine {
  readonly name: string;
  readonly short: string;
  readonly section: Section;
}

/** The help of the whole program. */
export function rootHelp(
  lines: readonly CommandLine[],
  globalFlags: readonly FlagSpec[],
  width: number,
): string {
  const blocks = [
    `Usage:  ${programName} [OPTIONS] COMMAND\n`,
    paragraph(
      "Runs containers. gantry takes Docker's place: the same commands, flags and API. The daemon is started by the first command that needs it.",
      width,
    ),
  ];
  for (const section of ["common", "management", "other"] as const) {
    const own = lines.filter((line) => line.section === section);
    if (own.length > 0) blocks.push(`${sectionTitles[section]}:\n${commandList(own, width)}`);
  }
  blocks.push(
    `Options:\n${flagHelp(globalFlags, width)}`,
    `'${programName} COMMAND --help' tells more about a command.\n`,
  );
  return blocks.join("\n");
}

/** The help of a group such as `container`. */
export function groupHelp(
  {
    name,
    short,
    flags,
  }: { readonly name: string; readonly short: string; readonly flags: readonly FlagSpec[] },
  lines: readonly CommandLine[],
  width: number,
): string {
  const options = flagHelp(flags, width);
  return [
    `Usage:  ${programName} ${name}${options === "" ? "" : " [OPTIONS]"} COMMAND\n`,
    paragraph(short, width),
    ...(options === "" ? [] : [`Options:\n${options}`]),
    `Commands:\n${commandList(lines, width)}`,
    `'${programName} ${name} COMMAND --help' tells more about a command.\n`,
  ].join("\n");
}

function commandList(lines: readonly CommandLine[], width: number): string {
  const leftWidth = Math.max(...lines.map(({ name }) => name.length)) + 4;
  return twoColumns(
    lines.map(({ name, short }) => [`  ${name}`, short] as const),
    leftWidth,
    width,
  );
}

function paragraph(text: string, width: number): string {
  return `${wrapText(text, width).join("\n")}\n`;
}
