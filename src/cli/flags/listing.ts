import type { FlagSpec } from "../flags.ts";

const templateHelp = "'TEMPLATE' prints by a Go template, 'json' prints JSON";

/** `--format` of commands that print a list. */
export const listFormatFlag: FlagSpec = {
  name: "format",
  type: "string",
  placeholder: "FORMAT",
  help: `How to print each line: ${templateHelp}, and 'table TEMPLATE' prints columns with titles`,
};

/** `-f, --format` of commands that print one thing. */
export const singleFormatFlag: FlagSpec = {
  name: "format",
  short: "f",
  type: "string",
  placeholder: "FORMAT",
  help: `How to print the answer: ${templateHelp}`,
};

export const noTruncFlag: FlagSpec = { name: "no-trunc", type: "bool", help: "Print long values in full" };

const quietFlag: FlagSpec = { name: "quiet", short: "q", type: "bool", help: "Print IDs and nothing else" };

export const psFlags: readonly FlagSpec[] = [
  {
    name: "all",
    short: "a",
    type: "bool",
    help: "List containers in every state, not only the running ones",
  },
  {
    name: "filter",
    short: "f",
    type: "filter",
    placeholder: "KEY=VALUE",
    help: "List only what matches, for instance status=exited, name=web, label=tier=db, ancestor=alpine",
  },
  listFormatFlag,
  {
    name: "last",
    short: "n",
    type: "int",
    default: -1,
    placeholder: "COUNT",
    help: "List that many of the newest containers, in every state",
  },
  { name: "latest", short: "l", type: "bool", help: "List only the newest container, in every state" },
  noTruncFlag,
  quietFlag,
  {
    name: "size",
    short: "s",
    type: "bool",
    help: "Add what the container has written, and its size with the image",
  },
];

export const imagesFlags: readonly FlagSpec[] = [
  { name: "all", short: "a", type: "bool", help: "List intermediate images too" },
  { name: "digests", type: "bool", help: "Add the digests by which registries know the images" },
  {
    name: "filter",
    short: "f",
    type: "filter",
    placeholder: "KEY=VALUE",
    help: "List only what matches, for instance dangling=true, reference=alpine*, label=team=a, before=IMAGE",
  },
  listFormatFlag,
  noTruncFlag,
  quietFlag,
  { name: "tree", type: "bool", help: "List the platforms of each image below it" },
];

export const historyFlags: readonly FlagSpec[] = [
  listFormatFlag,
  {
    name: "human",
    short: "H",
    type: "bool",
    default: true,
    help: "Sizes and times in words; false prints bytes and dates",
  },
  noTruncFlag,
  {
    name: "platform",
    type: "string",
    placeholder: "OS/ARCH",
    help: "Which platform of the image, such as linux/arm64",
  },
  quietFlag,
];

export const inspectFlags: readonly FlagSpec[] = [
  singleFormatFlag,
  {
    name: "size",
    short: "s",
    type: "bool",
    help: "Add the sizes of containers, which takes time to find out",
  },
  {
    name: "type",
    type: "string",
    placeholder: "KIND",
    help: "Look among one kind of things only: container, image, network or volume",
  },
];
