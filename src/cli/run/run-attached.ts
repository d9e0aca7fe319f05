import type { PendingWait } from "../../client/containers.ts";
import type { StdioStream } from "../../client/streams.ts";
import type { ContainerCreateRequest, WaitResponse } from "../../wire/container.ts";
import type { CommandContext } from "../command.ts";
import { errorLine } from "../each.ts";
import { CliError, exitUsage } from "../errors.ts";
import type { ParsedArguments } from "../parser.ts";
import { followWindowSize, runSession } from "../session.ts";
import { endOnThirdSignal, proxySignals } from "../signal-proxy.ts";

interface AttachedRun {
  readonly id: string;
  /** What was called, for the hint below a failure; `run` when not said. */
  readonly command?: string;
  readonly request: ContainerCreateRequest;
  readonly parsed: ParsedArguments;
  /** The bytes that detach. */
  readonly detachKeys: Buffer;
}

/**
 * The attached part of `run`: the streams are connected and the wait is registered before the start, so that neither
 * the first byte of output nor a quick exit is missed. Returns the program's exit code.
 */
export async function runAttached(context: CommandContext, run: AttachedRun): Promise<number> {
  const { id, request, parsed, detachKeys } = run;
  const tty = request.Tty === true;
  const streams = {
    stdin: request.AttachStdin === true,
    stdout: request.AttachStdout === true,
    stderr: request.AttachStderr === true,
  };
  const { promise: started, resolve: setStarted } = Promise.withResolvers<void>();
  using signals = parsed.bool("sig-proxy")
    ? proxySignals(async (name) => {
        await started;
        await context.client.containerKill(id, name);
      })
    : endOnThirdSignal();
  const { stdio, wait } = await connectStreams(context, run);
  const session = runSession(context, { stdio, tty, ...streams, detachKeys });
  session.catch(() => {});
  // Nothing to show: the id tells which container it is.
  if (!streams.stdout && !streams.stderr) context.print(`${id}\n`);
  try {
    await context.client.containerStart(id);
  } catch (error) {
    stdio.close();
    await session.catch(() => {});
    if (request.HostConfig?.AutoRemove === true) await wait.result.catch(() => {});
    throw startFailure(error, undefined, run.command);
  }
  setStarted();
  using _resize = tty
    ? followWindowSize(context, (rows, columns) => context.client.containerResize(id, rows, columns))
    : undefined;
  const end = await Promise.race([session, signals.ended]);
  if (end === "detached" || (!streams.stdout && !streams.stderr)) {
    wait.close();
    return 0;
  }
  return exitCode(context, await Promise.race([waitResult(wait), signals.ended]));
}

async function connectStreams(
  context: CommandContext,
  { id, request, parsed }: AttachedRun,
): Promise<{ stdio: StdioStream; wait: PendingWait }> {
  const keys = parsed.string("detach-keys");
  const attach = context.client.containerAttach(id, {
    stdin: request.AttachStdin === true,
    stdout: request.AttachStdout === true,
    stderr: request.AttachStderr === true,
    tty: request.Tty === true,
    ...(keys === "" ? {} : { detachKeys: keys }),
  });
  const wait = context.client.containerWait(
    id,
    request.HostConfig?.AutoRemove === true ? "removed" : "next-exit",
  );
  try {
    const [stdio, pending] = await Promise.all([attach, wait]);
    return { stdio, wait: pending };
  } catch (error) {
    attach.then((stdio) => stdio.close()).catch(() => {});
    throw startFailure(error);
  }
}

async function waitResult(wait: PendingWait): Promise<WaitResponse> {
  try {
    return await wait.result;
  } catch (error) {
    throw new CliError(`error waiting for container: ${errorLine(error)}`, exitUsage, { cause: error });
  }
}

/** The exit code out of a wait. An error of the daemon's, such as a removal that failed, is shown. */
export function exitCode(context: CommandContext, { StatusCode, Error: failure }: WaitResponse): number {
  if (failure !== null && failure !== undefined) {
    context.printError(`Error waiting for container: ${failure.Message}`);
    return exitUsage;
  }
  return StatusCode;
}

/**
 * A failure to create or to start as `run` shows it: 127 when the program is not there, 126 when it cannot be executed,
 * 125 otherwise. The words are the daemon's, as in Docker's command line.
 */
export function startFailure(error: unknown, only?: number, command = "run"): CliError {
  const text = errorLine(error);
  let code = exitUsage;
  if (/executable file not found|no such file or directory/.test(text)) code = 127;
  else if (/permission denied|is a directory/.test(text)) code = 126;
  return new CliError(
    `gantry: ${text}\n\nRun 'gantry ${command} --help' for more information`,
    only ?? code,
    {
      cause: error,
    },
  );
}
