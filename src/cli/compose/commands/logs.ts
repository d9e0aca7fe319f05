import type { Client } from "../../../client/client.ts";
import { settle } from "../../../compose/dependency-order.ts";
import { hasStatus, shownName, type Observed } from "../../../compose/engine.ts";
import { CliError } from "../../errors.ts";
import { apiTimestamp } from "../../output/timestamps.ts";
import type { ParsedArguments } from "../../parser.ts";
import { composeCommand, indexFlag } from "../app.ts";
import { containersOf } from "../containers.ts";
import { Follower } from "../follow.ts";
import { LogView, showOutput } from "../log-view.ts";

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
    const index = parsed.number("index");
    if (index > 0 && parsed.positional.length !== 1)
      throw new CliError("--index requires one service to be selected", 1);
    const bounds = { ...time(parsed, "since"), ...time(parsed, "until") };
    const view = new LogView({
      colours: !parsed.bool("no-color") && app.hasAnsi(1),
      prefix: !parsed.bool("no-log-prefix"),
      // As Docker Compose: what programs say is this command's result, whichever stream they said it to.
      oneStream: true,
    });
    const { project, name } = app.projectOrName();
    const services = new Set(
      parsed.positional.length === 0 ? Object.keys(project?.services ?? {}) : parsed.positional,
    );
    const isOfInterest = (service: string, number: number): boolean =>
      (services.size === 0 || services.has(service)) && (index === 0 || number === index);
    const warn = (message: string): void => app.warn(message);
    const timestamps = parsed.bool("timestamps");
    using follower = parsed.bool("follow")
      ? await Follower.open(client, view, { project: name, timestamps, isOfInterest, ...bounds, warn })
      : undefined;
    const found = (await containersOf(app, parsed.positional)).containers;
    const wanted = found.filter(({ service, number }) => isOfInterest(service, number));
    if (index > 0 && wanted.length === 0)
      throw new CliError(`service "${parsed.positional[0]!}" is not running container #${index}`, 1);
    for (const container of wanted) view.register(shownName(container));
    const tail = parsed.string("tail");
    if (follower === undefined) {
      const asked = { ...bounds, tail, timestamps, warn };
      await settle(wanted.map((container) => showLog(client, view, container, asked)));
      return 0;
    }
    for (const container of wanted) {
      const isRunning = ["running", "restarting", "paused"].includes(container.state);
      follower.readLogs({ ...container, name: shownName(container) }, { tail, isRunning });
    }
    await follower.ended();
    return 0;
  },
});

interface LogBounds {
  readonly since?: string;
  readonly until?: string;
  readonly tail: string;
  readonly timestamps: boolean;
  readonly warn: (message: string) => void;
}

async function showLog(
  client: Client,
  view: LogView,
  container: Observed,
  { warn, ...bounds }: LogBounds,
): Promise<void> {
  const name = shownName(container);
  try {
    const { Config: config } = await client.containerInspect(container.id);
    const tty = config.Tty === true;
    const logs = await client.containerLogs(container.id, { ...bounds, stdout: true, stderr: true, tty });
    await showOutput(view, name, logs.output());
  } catch (error) {
    if (!hasStatus(error, 501)) throw error;
    warn(`Can't retrieve logs for "${name}": ${(error as Error).message}`);
  }
}

function time(parsed: ParsedArguments, flag: "since" | "until"): Partial<Record<"since" | "until", string>> {
  const text = parsed.string(flag);
  if (text === "") return {};
  try {
    return { [flag]: apiTimestamp(text) };
  } catch (error) {
    throw new CliError(`invalid value for "${flag}": ${(error as Error).message}`, 1, { cause: error });
  }
}
