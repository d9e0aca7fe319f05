/**
 * Fail points: named places where a test makes the engine fail, to prove that what was acquired before is undone.
 *
 * Off unless the environment variable `GANTRY_FAILPOINTS` is set when the process starts. Its form is
 * `name=error[:message],name=exit[:times]` - `error` throws an internal {@link EngineError}, `exit` ends the process on
 * the spot, as `kill -9` would, when the place is passed for the `times`th time (the first when it is not said).
 */
import { EngineError } from "./errors.ts";

type Action = { readonly type: "error"; readonly message: string } | { readonly type: "exit"; left: number };

const actions = parseFailpoints(process.env["GANTRY_FAILPOINTS"] ?? "");

/** Parses the value of `GANTRY_FAILPOINTS`. Entries it cannot read are ignored. */
export function parseFailpoints(text: string): Map<string, Action> {
  const parsed = new Map<string, Action>();
  for (const entry of text.split(",")) {
    const [name = "", action = ""] = entry.trim().split("=", 2);
    const exit = /^exit(?::([1-9]\d*))?$/.exec(action);
    if (exit !== null) parsed.set(name, { type: "exit", left: Number(exit[1] ?? 1) });
    else if (action === "error" || action.startsWith("error:"))
      parsed.set(name, { type: "error", message: action.slice(6) || `fail point ${name}` });
  }
  return parsed;
}

/** Does what the environment asks for at this place; nothing in normal operation. */
export function failpoint(name: string): void {
  if (actions.size === 0) return;
  const action = actions.get(name);
  if (action?.type === "error") throw new EngineError("internal", action.message);
  end(action);
}

/**
 * A fail point for the process's end alone, where nothing can fail any more: behind the record that makes a change
 * true, and in clean-up that goes on after the answer.
 */
export function crashpoint(name: string): void {
  if (actions.size > 0) end(actions.get(name));
}

function end(action: Action | undefined): void {
  if (action?.type !== "exit") return;
  action.left -= 1;
  if (action.left === 0) process.kill(process.pid, "SIGKILL");
}
