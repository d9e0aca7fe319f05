import type { Finding, Verdict } from "../../wire/doctor.ts";

export const ok = (Id: string, Message: string): Finding => ({ Id, Verdict: "ok", Message });

const other =
  (verdict: Verdict) =>
  (Id: string, Message: string, Mend?: string): Finding => ({
    Id,
    Verdict: verdict,
    Message,
    ...(Mend === undefined ? {} : { Mend }),
  });

export const note = other("note");
export const warning = other("warning");
export const problem = other("problem");
