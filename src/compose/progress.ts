import { errorText } from "../base/errors.ts";

/** What happens, as data: the command line draws it. */
export type ProgressKind = "working" | "done" | "warning" | "error";

export interface ProgressEvent {
  /** `Container shop-web-1`, `Network shop_default`. */
  readonly id: string;
  /** What is done with it, where its text alone does not say: `copy a to b`. */
  readonly what?: string;
  readonly kind: ProgressKind;
  /** `Creating`, `Created`. */
  readonly text: string;
  /** More: a reason, an amount. */
  readonly detail?: string;
  /** What it is a part of, such as a layer of an image. */
  readonly parent?: string;
  /** Lines that change many times a second, which nobody wants in a file. */
  readonly fleeting?: boolean;
}

export type Report = (event: ProgressEvent) => void;

/** Reports that what was being done has failed. */
export function reportFailure(report: Report, id: string, error: unknown): void {
  report({ id, kind: "error", text: "Error", detail: errorText(error) });
}

/** Reports that something is being done, does it, and reports that it is done or has failed. */
export async function reported<T>(
  report: Report,
  id: string,
  [doing, done]: readonly [doing: string, done: string],
  work: () => Promise<T>,
): Promise<T> {
  report({ id, kind: "working", text: doing });
  try {
    const result = await work();
    report({ id, kind: "done", text: done });
    return result;
  } catch (error) {
    reportFailure(report, id, error);
    throw error;
  }
}
