import type { DoctorReport, Finding, Verdict } from "../../wire/doctor.ts";

const marks: Readonly<Record<Verdict, string>> = {
  ok: "ok",
  note: "note",
  warning: "warning",
  problem: "PROBLEM",
};

/** What `system doctor` prints: a line for each thing that was looked at, and under it the command that mends it. */
export function doctorText({ Findings }: DoctorReport): string {
  const width = Math.max(...Findings.map(({ Id }) => Id.length));
  const lines = Findings.flatMap((finding) => findingLines(finding, width));
  return `${[...lines, "", summary(Findings)].join("\n")}\n`;
}

function findingLines({ Id, Verdict: verdict, Message, Mend }: Finding, width: number): string[] {
  const line = `${marks[verdict].padEnd(8)} ${Id.padEnd(width)}  ${Message}`;
  return Mend === undefined ? [line] : [line, `${" ".repeat(9)} ${" ".repeat(width)} -> ${Mend}`];
}

function summary(findings: readonly Finding[]): string {
  const count = (verdict: Verdict): number => findings.filter(({ Verdict: each }) => each === verdict).length;
  const [problems, warnings, notes] = [count("problem"), count("warning"), count("note")];
  if (problems + warnings + notes === 0) return "This machine is fit for containers.";
  const words = [
    ...(problems > 0 ? [`${problems} problem${problems === 1 ? "" : "s"}`] : []),
    ...(warnings > 0 ? [`${warnings} warning${warnings === 1 ? "" : "s"}`] : []),
    ...(notes > 0 ? [`${notes} note${notes === 1 ? "" : "s"}`] : []),
  ];
  return `${problems === 0 ? "Containers can run here" : "Containers cannot run here as they should"}: ${words.join(", ")}.`;
}
