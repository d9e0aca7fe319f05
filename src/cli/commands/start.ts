import type { Command, CommandContext } from "../command.ts";
import { errorLine } from "../each.ts";
import { CliError } from "../errors.ts";
import type { ParsedArguments } from "../parser.ts";
import { exitCode } from "../run/run-attached.ts";
import { checkInputTerminal, detachKeysOf, followWindowSize, runSession } from "../session.ts";
import { proxySignals } from "../signal-proxy.ts";

const checkpoints = "gantry makes no checkpoints";

const command: Command = {
  path: "start",
  aliases: ["container start"],
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  short: "Start containers that do not run",
  section: "other",
  flags: [
    { name: "attach", short: "a", type: "bool", help: "Attach STDOUT and STDERR, and pass signals on" },
    {
      name: "checkpoint",
      type: "string",
      help: "Name of the checkpoint to go on from",
      refused: checkpoints,
      hidden: true,
    },
    {
      name: "checkpoint-dir",
      type: "string",
      help: "Directory of checkpoints",
      refused: checkpoints,
      hidden: true,
    },
    { name: "detach-keys", type: "string", help: "Keys that detach from the container (ctrl-p,ctrl-q)" },
    { name: "interactive", short: "i", type: "bool", help: "Attach STDIN" },
  ],
  args: { min: 1 },
  completes: "stopped-containers",
  async run(context, parsed) {
    if (!parsed.bool("attach") && !parsed.bool("interactive"))
      return await startAll(context, parsed.positional);
    if (parsed.positional.length > 1)
      throw new CliError("you cannot start and attach multiple containers at once");
    return await startAttached(context, parsed.positional[0]!, parsed);
  },
};

export default command;

async function startAll(context: CommandContext, names: readonly string[]): Promise<number> {
  const failed: string[] = [];
  for (const name of names) {
    try {
      await context.client.containerStart(name);
      context.print(`${name}\n`);
    } catch (error) {
      context.printError(errorLine(error));
      failed.push(name);
    }
  }
  if (failed.length === 0) return 0;
  throw new CliError(`Error: failed to start containers: ${failed.join(", ")}`);
}

async function startAttached(
  context: CommandContext,
  name: string,
  parsed: ParsedArguments,
): Promise<number> {
  const { client } = context;
  const { Id: id, Config: config, HostConfig: host } = await client.containerInspect(name);
  const tty = config.Tty === true;
  const stdin = parsed.bool("interactive") && config.OpenStdin === true;
  checkInputTerminal(stdin, tty);
  const keys = parsed.string("detach-keys");
  const detachKeys = detachKeysOf(context, keys);
  const { promise: started, resolve: setStarted } = Promise.withResolvers<void>();
  using _signals = tty
    ? undefined
    : proxySignals(async (signalName) => {
        await started;
        await client.containerKill(id, signalName);
      });
  const streams = { stdin, stdout: true, stderr: true, tty };
  const stdio = await client.containerAttach(id, {
    ...streams,
    ...(keys === "" ? {} : { detachKeys: keys }),
  });
  const wait = await client.containerWait(id, host.AutoRemove === true ? "removed" : "next-exit");
  const session = runSession(context, { stdio, ...streams, detachKeys });
  session.catch(() => {});
  try {
    await client.containerStart(id);
  } catch (error) {
    stdio.close();
    await session.catch(() => {});
    throw error;
  }
  setStarted();
  using _resize = tty
    ? followWindowSize(context, (rows, columns) => client.containerResize(id, rows, columns))
    : undefined;
  if ((await session) === "detached") return 0;
  return exitCode(context, await wait.result);
}
