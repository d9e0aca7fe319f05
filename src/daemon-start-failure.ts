/** What is said when the daemon cannot start for want of something that the machine is to have. */
import { EngineError, errorText, isKind } from "./base/errors.ts";
import { asMachineFault, machineFault } from "./base/machine-fault.ts";

const nothingLost = "Nothing was lost, and containers that run go on.";

/**
 * Throws it again, with what to do: a daemon that cannot start for want of room cannot be asked to prune either, which is
 * what is advised elsewhere.
 */
export function rethrowStartFailure(thrown: unknown): never {
  const error = asMachineFault(thrown);
  if (!isKind(error, "resourceExhausted")) throw error;
  const { hint = "" } = error;
  const advice =
    hint === machineFault("ENOSPC")?.hint
      ? "Make room on that file system (df -h and df -i say how much there is), then start the daemon again."
      : hint;
  throw new EngineError("resourceExhausted", `cannot start the daemon: ${errorText(error)}`, {
    hint: advice === "" ? nothingLost : `${advice} ${nothingLost}`,
    cause: error,
  });
}
