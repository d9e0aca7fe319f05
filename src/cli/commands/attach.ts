import type { Command, CommandContext } from "../command.ts";
import { CliError } from "../errors.ts";
import { exitCode } from "../run/run-attached.ts";
import { checkInputTerminal, detachKeysOf, followWindowSize, runSession } from "../session.ts";
import { endOnThirdSignal, proxySignals, type SignalWatch } from "../signal-proxy.ts";
import { terminalSize } from "../terminal.ts";
import type { ContainerInspect } from "../../wire/container.ts";

const command: Command = {
  path: "attach",
  aliases: ["container attach"],
  usage: "[OPTIONS] CONTAINER",
  short: "Connect this terminal's streams with those of a running container",
  section: "other",
  flags: [
    { name: "detach-keys", type: "string", help: "Keys that detach from the container (ctrl-p,ctrl-q)" },
    { name: "no-stdin", type: "bool", help: "Send no input" },
    { name: "sig-proxy", type: "bool", default: true, help: "Pass signals on to the program" },
  ],
  args: { min: 1, max: 1 },
  completes: "running-containers",
  async run(context, parsed) {
    const { client } = context;
    const name = parsed.positional[0]!;
    // Registered first, so that an exit in between is not missed.
    const [wait, container] = await Promise.all([client.containerWait(name), client.containerInspect(name)]);
    checkRunning(container);
    const tty = container.Config.Tty === true;
    const stdin = !parsed.bool("no-stdin") && container.Config.OpenStdin === true;
    checkInputTerminal(stdin, tty);
    const keys = parsed.string("detach-keys");
    const detachKeys = detachKeysOf(context, keys);
    const streams = { stdin, stdout: true, stderr: true, tty };
    using signals = tty ? undefined : watchSignals(context, parsed.bool("sig-proxy"), container.Id);
    const stdio = await client.containerAttach(name, {
      ...streams,
      ...(keys === "" ? {} : { detachKeys: keys }),
    });
    using _resize = tty ? await redraw(context, container.Id) : undefined;
    const session = runSession(context, { stdio, ...streams, detachKeys });
    const end = await (signals === undefined ? session : Promise.race([session, signals.ended]));
    if (end === "detached") {
      wait.close();
      throw new CliError("read escape sequence");
    }
    return exitCode(context, await wait.result);
  },
};

export default command;

function checkRunning({ State: state }: ContainerInspect): void {
  if (!state.Running) throw new CliError("You cannot attach to a stopped container, start it first");
  if (state.Paused) throw new CliError("You cannot attach to a paused container, unpause it first");
  if (state.Restarting)
    throw new CliError("You cannot attach to a restarting container, wait until it is running");
}

function watchSignals(context: CommandContext, isProxied: boolean, id: string): SignalWatch {
  if (!isProxied) return endOnThirdSignal();
  return proxySignals((name) => context.client.containerKill(id, name));
}

/** Tells a size that differs by one before the right one: a program draws its screen again when the size changes. */
async function redraw(context: CommandContext, id: string): Promise<Disposable> {
  const resize = (rows: number, columns: number): Promise<void> =>
    context.client.containerResize(id, rows, columns);
  const size = terminalSize(context);
  if (size !== undefined) await resize(size.rows + 1, size.columns + 1).catch(() => {});
  return followWindowSize(context, resize);
}
