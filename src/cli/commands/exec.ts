import { setTimeout as delay } from "node:timers/promises";
import type { ExecCreateRequest } from "../../wire/exec.ts";
import type { Command, CommandContext } from "../command.ts";
import { CliError } from "../errors.ts";
import type { ParsedArguments } from "../parser.ts";
import { environment } from "../run/environment.ts";
import { checkInputTerminal, detachKeysOf, followWindowSize, runSession } from "../session.ts";
import { consoleSize } from "../terminal.ts";
import { environmentEntry } from "../run/values.ts";

const command: Command = {
  path: "exec",
  aliases: ["container exec"],
  usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
  short: "Run one more program in a running container",
  examples: [
    ["gantry exec -it web sh", "a shell beside the container's program"],
    ["gantry exec -u root -w /etc web cat hosts", "as another user, in another directory"],
  ],
  section: "common",
  flags: [
    { name: "detach", short: "d", type: "bool", help: "Run in the background" },
    { name: "detach-keys", type: "string", help: "Keys that detach from the program (ctrl-p,ctrl-q)" },
    {
      name: "env",
      short: "e",
      type: "list",
      help: "Set an environment variable (NAME=value; NAME alone copies it)",
      validate: (value) => void environmentEntry(value, {}),
    },
    { name: "env-file", type: "list", placeholder: "FILE", help: "Read environment variables from a file" },
    { name: "interactive", short: "i", type: "bool", help: "Keep STDIN open, even when not attached" },
    { name: "privileged", type: "bool", help: "Give the program all capabilities" },
    { name: "tty", short: "t", type: "bool", help: "Give the program a terminal" },
    { name: "user", short: "u", type: "string", help: "User, and group (name|uid[:group|gid])" },
    { name: "workdir", short: "w", type: "string", help: "Working directory of the program" },
  ],
  args: { min: 2 },
  stopAtFirstArgument: true,
  completes: "running-containers",
  async run(context, parsed) {
    const detachKeys = detachKeysOf(context, parsed.string("detach-keys"));
    const request = execRequest(context, parsed);
    checkInputTerminal(request.AttachStdin === true, request.Tty === true);
    const { Id: id } = await context.client.execCreate(parsed.positional[0]!, request);
    const start = {
      Tty: request.Tty === true,
      ...(request.ConsoleSize ? { ConsoleSize: request.ConsoleSize } : {}),
    };
    if (request.Detach === true) {
      await context.client.execStartDetached(id, start);
      return 0;
    }
    return await runExec(context, { id, request, detachKeys, start });
  },
};

export default command;

function execRequest(context: CommandContext, parsed: ParsedArguments): ExecCreateRequest {
  const isDetached = parsed.bool("detach");
  const tty = parsed.bool("tty");
  const [rows, columns] = tty ? consoleSize(context) : [0, 0];
  return {
    User: parsed.string("user"),
    Privileged: parsed.bool("privileged"),
    Tty: tty,
    ...(rows > 0 ? { ConsoleSize: [rows, columns] } : {}),
    AttachStdin: !isDetached && parsed.bool("interactive"),
    AttachStderr: !isDetached,
    AttachStdout: !isDetached,
    Detach: isDetached,
    DetachKeys: parsed.string("detach-keys"),
    Env: environment(parsed, context.env),
    WorkingDir: parsed.string("workdir"),
    Cmd: parsed.positional.slice(1),
  };
}

interface ExecRun {
  readonly id: string;
  readonly request: ExecCreateRequest;
  readonly detachKeys: Buffer;
  readonly start: { readonly Tty: boolean };
}

async function runExec(
  context: CommandContext,
  { id, request, detachKeys, start }: ExecRun,
): Promise<number> {
  const { client } = context;
  const stdio = await client.execStart(id, start);
  const tty = request.Tty === true;
  using _resize = tty
    ? followWindowSize(context, (rows, columns) => client.execResize(id, rows, columns))
    : undefined;
  const streams = { stdin: request.AttachStdin === true, stdout: true, stderr: true };
  const end = await runSession(context, { stdio, tty, ...streams, detachKeys });
  if (end === "detached") throw new CliError("read escape sequence");
  return await execExitCode(context, id);
}

/** The output may end a moment before the program has, and long before a program that closed it. */
async function execExitCode(context: CommandContext, id: string): Promise<number> {
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const { Running: isRunning, ExitCode: code } = await context.client.execInspect(id);
    if (!isRunning) return code ?? 0;
    await delay(20 * attempt);
  }
  return 0;
}
