import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { OutputWriters } from "../fd-writer.ts";
import type { ParsedArguments } from "../parser.ts";
import { apiTimestamp } from "../output/timestamps.ts";

const command: Command = {
  path: "logs",
  aliases: ["container logs"],
  usage: "[OPTIONS] CONTAINER",
  short: "Show the output that a container has written",
  section: "common",
  flags: [
    { name: "details", type: "bool", help: "Show the labels and variables that the log driver keeps" },
    { name: "follow", short: "f", type: "bool", help: "Go on with new output" },
    {
      name: "since",
      type: "string",
      help: 'Only output since a time ("2013-01-02T13:23:37Z") or since "42m" ago',
    },
    { name: "tail", short: "n", type: "string", default: "all", help: "Number of lines from the end" },
    { name: "timestamps", short: "t", type: "bool", help: "Show the time of each line" },
    {
      name: "until",
      type: "string",
      help: 'Only output before a time ("2013-01-02T13:23:37Z") or before "42m" ago',
    },
  ],
  args: { min: 1, max: 1 },
  completes: "containers",
  async run(context, parsed) {
    const name = parsed.positional[0]!;
    const { Id: id, Config: config } = await context.client.containerInspect(name);
    const since = time(parsed, "since");
    const until = time(parsed, "until");
    const logs = await context.client.containerLogs(id, {
      stdout: true,
      stderr: true,
      follow: parsed.bool("follow"),
      tail: parsed.string("tail"),
      timestamps: parsed.bool("timestamps"),
      details: parsed.bool("details"),
      tty: config.Tty === true,
      ...(since === undefined ? {} : { since }),
      ...(until === undefined ? {} : { until }),
    });
    await new OutputWriters({ stdout: true, stderr: true }).copy(logs.output());
    return 0;
  },
};

export default command;

function time(parsed: ParsedArguments, flag: "since" | "until"): string | undefined {
  const text = parsed.string(flag);
  if (text === "") return undefined;
  try {
    return apiTimestamp(text);
  } catch (error) {
    throw new CliError(`invalid value for "${flag}": ${(error as Error).message}`);
  }
}
