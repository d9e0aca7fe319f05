import type { FlagSpec } from "../flags.ts";

export const eventsFlags: readonly FlagSpec[] = [
  {
    name: "filter",
    short: "f",
    type: "filter",
    placeholder: "KEY=VALUE",
    help: "Show only what matches, for instance type=container, event=die, container=web, label=team=a",
  },
  {
    name: "format",
    type: "string",
    placeholder: "FORMAT",
    help: "How to print each event: 'TEMPLATE' prints by a Go template, 'json' prints JSON",
  },
  {
    name: "since",
    type: "string",
    placeholder: "TIME",
    help: "Start with the events since then: a date, unix seconds, or an age such as 10m",
  },
  {
    name: "until",
    type: "string",
    placeholder: "TIME",
    help: "Stop at that time: a date, unix seconds, or an age such as 10m",
  },
];
