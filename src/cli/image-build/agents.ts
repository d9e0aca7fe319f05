/** `--ssh`: agents that run, and keys, for which one is started. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { CommandContext } from "../command.ts";
import { CliError } from "../errors.ts";
import type { ParsedArguments } from "../parser.ts";

export interface OfferedAgents {
  /** Sockets by id. */
  readonly agents: ReadonlyMap<string, string>;
  /** Ends the agents that were started here. */
  close(): Promise<void>;
}

const startTimeoutMs = 10_000;

/**
 * `default`, `ID`, `ID=SOCKET` or `ID=KEY[,KEY…]`, as buildx reads them. For a context that is read over SSH the agent that
 * runs is offered without being asked for. Throws `CliError`.
 */
export async function readAgents(
  context: CommandContext,
  parsed: ParsedArguments,
  { isSshContext }: { readonly isSshContext: boolean },
): Promise<OfferedAgents> {
  const agents = new Map<string, string>();
  await using started = new AsyncDisposableStack();
  const asked = parsed.list("ssh");
  const isOffered = asked.length === 0 && isSshContext && Boolean(context.env["SSH_AUTH_SOCK"]);
  for (const entry of isOffered ? ["default"] : asked) {
    const [, id = "", value] = /^([^=]*)(?:=(.*))?$/s.exec(entry) ?? [];
    const paths = (value ?? context.env["SSH_AUTH_SOCK"] ?? "").split(",").filter((path) => path !== "");
    if (paths.length === 0)
      throw new CliError("invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set");
    const isSocket = paths.map((path) => {
      const found = statSync(path, { throwIfNoEntry: false });
      if (found === undefined) throw new CliError(`failed to open ${path}: no such file or directory`);
      return found.isSocket();
    });
    if (isSocket[0] === true && paths.length > 1)
      throw new CliError("only single socket allowed: name one agent, or keys alone");
    const socket = isSocket[0] === true ? resolve(paths[0]!) : started.use(await startAgent(paths)).socket;
    agents.set(id === "" ? "default" : id, socket);
  }
  const kept = started.move();
  return { agents, close: () => kept.disposeAsync() };
}

/** An agent of OpenSSH's that has these keys and no others. */
async function startAgent(keys: readonly string[]): Promise<AsyncDisposable & { readonly socket: string }> {
  await using undo = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), "gantry-agent-"));
  undo.defer(() => rmSync(directory, { recursive: true, force: true }));
  const socket = join(directory, "agent.sock");
  const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
  let fault: Error | undefined;
  const ended = new Promise<void>((end) => {
    agent.on("exit", () => end());
    agent.on("error", (error) => {
      fault = error;
      end();
    });
  });
  undo.defer(async () => {
    agent.kill();
    await ended;
  });
  for (let waitedMs = 0; !existsSync(socket); waitedMs += 10) {
    if (fault !== undefined || agent.exitCode !== null || waitedMs > startTimeoutMs)
      throw new CliError(
        `cannot start ssh-agent for the keys${fault === undefined ? "" : `: ${fault.message}`}: install openssh-client, or name an agent's socket`,
      );
    await sleep(10);
  }
  // A key with a passphrase is asked for by ssh-add itself, on the terminal.
  const added = spawnSync("ssh-add", ["-q", ...keys], {
    env: { ...process.env, SSH_AUTH_SOCK: socket },
    stdio: ["inherit", "ignore", "pipe"],
  });
  if (added.status !== 0)
    throw new CliError(`cannot use ${keys.join(", ")} as an SSH key: ${String(added.stderr).trim()}`);
  const kept = undo.move();
  return { socket, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}
