/** Commands of a service that run in its container after a start and before a stop. */
import { setTimeout as delay } from "node:timers/promises";
import type { Session } from "../engine.ts";
import { ComposeError } from "../errors.ts";
import type { Hook } from "../model/project.ts";
import { environmentOf } from "../request/create-request.ts";

export interface HookRun {
  readonly hook: Hook;
  readonly kind: "post_start" | "pre_stop" | "watch";
}

/** Runs a hook to its end. Throws {@link ComposeError} with its output when it fails. */
export async function runHook(
  { client }: Pick<Session, "client">,
  container: { readonly id: string; readonly name: string },
  { hook, kind }: HookRun,
): Promise<void> {
  const { Id: id } = await client.execCreate(container.id, {
    AttachStdout: true,
    AttachStderr: true,
    Cmd: hook.command,
    Env: environmentOf(hook),
    User: hook.user ?? "",
    Privileged: hook.privileged === true,
    WorkingDir: hook.working_dir ?? "",
  });
  const stdio = await client.execStart(id, { Tty: false });
  let output = "";
  stdio.input.on("error", () => {});
  for await (const { data } of stdio.output()) if (output.length < 4096) output += data.toString();
  const code = await exitCodeOf({ client }, id);
  if (code === 0) return;
  const said = output.trim() === "" ? "" : `: ${output.trim()}`;
  throw new ComposeError(
    `${container.name}: ${kind} hook ${hook.command.join(" ")} exited with status ${code}${said}`,
  );
}

/** The output may end a moment before the program has. */
async function exitCodeOf({ client }: Pick<Session, "client">, id: string): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    const { Running: isRunning, ExitCode: code } = await client.execInspect(id);
    if (!isRunning || attempt === 20) return code ?? 0;
    await delay(10 * (attempt + 1));
  }
}
