import type { Command, CommandContext } from "../command.ts";
import { CliError } from "../errors.ts";
import type { ParsedArguments } from "../parser.ts";
import { createContainer } from "../run/create-container.ts";
import { containerFlags, runOnlyFlags } from "../run/flags.ts";
import { createRequest } from "../run/request.ts";
import { runAttached, startFailure } from "../run/run-attached.ts";
import { checkInputTerminal, detachKeysOf } from "../session.ts";
import { consoleSize } from "../terminal.ts";
import type { ContainerCreateRequest } from "../../wire/container.ts";

const command: Command = {
  path: "run",
  aliases: ["container run"],
  usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
  short: "Create a container from an image and run a program in it",
  long:
    "Create a container from an image, start it, and show its output until it ends. The exit code is the program's; " +
    "125 when gantry itself failed, 126 when the program cannot be executed, 127 when it is not there, and 128+N when " +
    "signal N ended it.",
  examples: [
    ["gantry run --rm gantry/busybox echo hello", "run a program once and leave nothing behind"],
    ["gantry run -it --rm gantry/busybox sh", "a shell in a terminal; ctrl-p ctrl-q leaves it running"],
    ["gantry run -d --name web -p 8080:80 nginx", "a server in the background, on port 8080 of the host"],
  ],
  section: "common",
  flags: [...containerFlags, ...runOnlyFlags],
  args: { min: 1 },
  stopAtFirstArgument: true,
  completes: "images",
  async run(context, parsed) {
    const request = createRequest(parsed, {
      command: "run",
      env: context.env,
      consoleSize: consoleSize(context),
    });
    if (parsed.bool("detach")) return await runDetached(context, parsed, request);
    checkInputTerminal(request.AttachStdin === true, request.Tty === true);
    const detachKeys = detachKeysOf(context, parsed.string("detach-keys"));
    const id = await create(context, parsed, request);
    return await runAttached(context, { id, request, parsed, detachKeys });
  },
};

export default command;

async function runDetached(
  context: CommandContext,
  parsed: ParsedArguments,
  request: ContainerCreateRequest,
): Promise<number> {
  if (parsed.list("attach").length > 0) {
    throw new CliError("conflicting options: cannot specify both --attach and --detach");
  }
  const quiet = { AttachStdin: false, AttachStdout: false, AttachStderr: false, StdinOnce: false };
  const id = await create(context, parsed, { ...request, ...quiet });
  // Before the start, as with Docker: a script that finds it failed knows what to remove.
  context.print(`${id}\n`);
  await context.client.containerStart(id).catch((error: unknown) => {
    throw startFailure(error);
  });
  return 0;
}

async function create(
  context: CommandContext,
  parsed: ParsedArguments,
  request: ContainerCreateRequest,
): Promise<string> {
  try {
    return await createContainer(context, parsed, request);
  } catch (error) {
    // A message that was shown already, or a reader that is gone.
    if (error instanceof CliError && error.exitCode !== 1) throw error;
    throw startFailure(error);
  }
}
