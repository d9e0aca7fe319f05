/** Who owns what a step makes. */
import type { StepPlace } from "./cached-step.ts";
import { type Owner, ownerOrRoot, parseOwner } from "./file-options.ts";
import type { BuildSession } from "./session.ts";

/**
 * The owner that `--chown` or USER names, out of the root below the step. For a name that is not there the classic builder
 * throws `invalidArgument`; BuildKit gives the files to root, which is told as a warning here.
 */
export function stepOwner(
  { parts }: BuildSession,
  text: string,
  { root, place }: { readonly root: string | undefined; readonly place: StepPlace },
): Owner {
  if (parts.request.keepsSteps === true) return parseOwner(text, root);
  return ownerOrRoot(text, root, (words) =>
    place.vertex.warn({ short: `${words}: the files belong to root`, detail: [], url: "", ranges: [] }),
  );
}
