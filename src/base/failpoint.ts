/**
 * Fail points: named places where a test makes the engine fail, to prove that what was acquired before is undone.
 *
 * Off unless the environment variable `GANTRY_FAILPOINTS` is set when the process starts. Its form is
 * `name=error[:message],name=exit` - `error` throws an internal {@link EngineError}, `exit` ends the process at once, as
 * a power cut would.
 */
import { EngineError } from "./errors.ts";

type Action = { readonly type: "error"; readonly message: string } | { readonly type: "exit" };

const actions = parseFailpoints(process.env["GANTRY_FAILPOINTS"] ?? "");

/** Parses the value of `GANTRY_FAILPOINTS`. Entries it cannot read are ignored. */
export function parseFailpoints(text: string): Map<string, Action> {
  const parsed = new Map<string, Action>();
  for (const entry of text.split(",")) {
    const [name = "", action = ""] = entry.trim().split("=", 2);
    if (action === "exit") parsed.set(name, { type: "exit" });
    else if (action === "error" || action.startsWith("error:"))
      parsed.set(name, { type: "error", message: action.slice(6) || `fail point ${name}` });
  }
  return parsed;
}

/** Does what the environment asks for at this place; nothing in normal operation. */
export function failpoint(name: string): void {
  if (actions.size === 0) return;
  const action = actions.get(name);
  if (action === undefined) return;
  if (action.type === "exit") process.kill(process.pid, "SIGKILL");
  else throw new EngineError("internal", action.message);
}
