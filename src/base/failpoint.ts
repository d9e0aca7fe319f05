/**
 * Fail points: named places where a test makes the engine fail, to prove that what was acquired before is undone.
 *
 * Off unless the environment variable `GANTRY_FAILPOINTS` is set when the process starts. Its form is
 * `name=error[:message],name=exit[:times],name=fail[:times]` - `error` throws an internal {@link EngineError}, `exit` ends
 * the process on the spot, as `kill -9` would, when the place is passed for the `times`th time (the first when it is not
 * said). `fail` throws the first `times` times (once when it is not said) and passes from then on: what is tried again
 * must work then.
 */
import { EngineError } from "./errors.ts";

type Action =
  | { readonly type: "error"; readonly message: string }
  | { readonly type: "exit" | "fail"; left: number };

const actions = parseFailpoints(process.env["GANTRY_FAILPOINTS"] ?? "");

/** Parses the value of `GANTRY_FAILPOINTS`. Entries it cannot read are ignored. */
export function parseFailpoints(text: string): Map<string, Action> {
  const parsed = new Map<string, Action>();
  for (const entry of text.split(",")) {
    const [name = "", action = ""] = entry.trim().split("=", 2);
    const counted = /^(exit|fail)(?::([1-9]\d*))?$/.exec(action);
    if (counted !== null)
      parsed.set(name, { type: counted[1] === "exit" ? "exit" : "fail", left: Number(counted[2] ?? 1) });
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
  count(name, action);
}

/**
 * A fail point where a failure makes no request fail: behind the record that makes a change true, and in clean-up that
 * goes on after the answer. `error` means nothing here.
 */
export function crashpoint(name: string): void {
  if (actions.size > 0) count(name, actions.get(name));
}

function count(name: string, action: Action | undefined): void {
  if (action === undefined || action.type === "error" || action.left === 0) return;
  action.left -= 1;
  if (action.type === "fail") throw new EngineError("internal", `fail point ${name}`);
  if (action.left === 0) process.kill(process.pid, "SIGKILL");
}
