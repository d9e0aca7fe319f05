import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";

/** Runs one step of a clean-up; a failure is logged, and the steps after it still run. */
export async function attempt(what: string, step: () => unknown): Promise<void> {
  try {
    await step();
  } catch (error) {
    log.warn(`could not ${what}`, { error: errorText(error) });
  }
}

/** As {@link attempt}, for a step that must be done before anything else happens. */
export function attemptNow(what: string, step: () => void): void {
  try {
    step();
  } catch (error) {
    log.error(`could not ${what}`, { error: errorText(error) });
  }
}
