/** What `gantry system doctor` says about a machine. */

/**
 * `ok`: as it should be. `note`: something does not work that few need. `warning`: something works less well or less
 * safely. `problem`: containers cannot run, or not as asked.
 */
export type Verdict = "ok" | "note" | "warning" | "problem";

export interface Finding {
  /** What was looked at, for programs: `kernel.overlay`. */
  readonly Id: string;
  readonly Verdict: Verdict;
  /** What was found, in a few words. */
  readonly Message: string;
  /** The command that mends it; a sentence where no command does. */
  readonly Mend?: string;
}

export interface DoctorReport {
  readonly Kernel: string;
  readonly Machine: string;
  readonly Findings: readonly Finding[];
}
