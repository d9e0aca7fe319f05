import { shownName } from "../../../compose/engine.ts";
import { CliError } from "../../errors.ts";
import { apiTimestamp } from "../../output/timestamps.ts";
import type { ParsedArguments } from "../../parser.ts";
import { composeCommand, indexFlag } from "../app.ts";
import { containersOf } from "../containers.ts";
import { LogView, showOutput } from "../log-view.ts";
import { newContainers } from "../new-containers.ts";

export default composeCommand({
  name: "logs",
  usage: "[OPTIONS] [SERVICE...]",
  short: "Show the output of services",
  completes: "services",
  flags: [
    { name: "follow", short: "f", type: "bool", help: "Go on with new output" },
    indexFlag,
    { name: "no-color", type: "bool", help: "Show output without colours" },
    { name: "no-log-prefix", type: "bool", help: "Show output without names in front" },
    {
      name: "since",
      type: "string",
      help: 'Only output since a time ("2013-01-02T13:23:37Z") or since "42m" ago',
    },
    {
      name: "tail",
      short: "n",
      type: "string",
      default: "all",
      help: "Number of lines from the end, of each container",
    },
    { name: "timestamps", short: "t", type: "bool", help: "Show the time of each line" },
    {
      name: "until",
      type: "string",
      help: 'Only output before a time ("2013-01-02T13:23:37Z") or before "42m" ago',
    },
  ],
  async run(app, parsed) {
    const { client } = app.context;
    const { containers, name } = await containersOf(app, parsed.positional);
    const index = parsed.number("index");
    const wanted = containers.filter(({ number }) => index === 0 || number === index);
    const view = new LogView({
      colours: !parsed.bool("no-color") && app.hasAnsi(1),
      prefix: !parsed.bool("no-log-prefix"),
    });
    for (const container of wanted) view.register(shownName(container));
    const query = {
      stdout: true,
      stderr: true,
      follow: parsed.bool("follow"),
      tail: parsed.string("tail"),
      timestamps: parsed.bool("timestamps"),
      ...time(parsed, "since"),
      ...time(parsed, "until"),
    };
    const show = async (container: (typeof wanted)[number], isNew = false): Promise<void> => {
      const { Config: config } = await client.containerInspect(container.id);
      const logs = await client.containerLogs(container.id, {
        ...query,
        ...(isNew ? { tail: "all" } : {}),
        tty: config.Tty === true,
      });
      await showOutput(view, shownName(container), logs.output());
    };
    const shown = wanted.map((container) => show(container));
    if (!parsed.bool("follow")) {
      await Promise.all(shown);
      return 0;
    }
    // Containers that are started while somebody watches are shown as well, until none runs any more.
    await newContainers(client, { project: name, services: parsed.positional, known: wanted, shown, show });
    return 0;
  },
});

function time(parsed: ParsedArguments, flag: "since" | "until"): Partial<Record<"since" | "until", string>> {
  const text = parsed.string(flag);
  if (text === "") return {};
  try {
    return { [flag]: apiTimestamp(text) };
  } catch (error) {
    throw new CliError(`invalid value for "${flag}": ${(error as Error).message}`, 1, { cause: error });
  }
}
