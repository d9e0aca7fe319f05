/** What is done with a machine and a data root themselves. The composition root gives it: the engine does the work. */
import type { CheckReport } from "../../wire/check.ts";
import type { DoctorReport } from "../../wire/doctor.ts";

/** Where to look; what is undefined is as the daemon's configuration file says, else as by default. */
export interface Places {
  readonly configFile: string | undefined;
  readonly dataRoot: string | undefined;
  readonly execRoot: string | undefined;
}

export interface Maintenance {
  /**
   * Checks a data root that no daemon uses, and keeps daemons away meanwhile. Throws `conflict` when one does,
   * `notFound` when there is none.
   */
  check(
    places: Places,
    options: { readonly verify: boolean; readonly repair: boolean; readonly signal: AbortSignal },
  ): Promise<CheckReport>;
  /** Looks at the machine that this program runs on. */
  doctor(places: Places): Promise<DoctorReport>;
}
