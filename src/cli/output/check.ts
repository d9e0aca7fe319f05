import type { CheckCounts, CheckReport, Fault } from "../../wire/check.ts";
import { humanSize } from "./humanize.ts";

/** What `system check` prints: how much was looked at, each fault with what to do, and how it stands. */
export function checkText({ DataRoot, Verified, Checked, Faults }: CheckReport): string {
  const read = Verified ? `${humanSize(Checked.BlobBytes)} read` : "contents not read";
  const lines = [`Checked ${DataRoot}: ${countsText(Checked)}; ${read}.`];
  for (const fault of Faults) lines.push("", ...faultLines(fault));
  lines.push("", summary(Faults));
  return `${lines.join("\n")}\n`;
}

function countsText(counts: CheckCounts): string {
  const { Images, Containers, Volumes, Networks, Blobs, Layers } = counts;
  return [
    plural(Images, "image"),
    plural(Containers, "container"),
    plural(Volumes, "volume"),
    plural(Networks, "network"),
    plural(Blobs, "blob"),
    plural(Layers, "layer"),
  ].join(", ");
}

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;

const stateWords = { found: "", repaired: "repaired: ", "not repaired": "not repaired: " } as const;

function faultLines({ Kind, Object: object, Message, State, Remedy, Failure, Repairable }: Fault): string[] {
  const lines = [`${stateWords[State]}${Kind}  ${object}`, `  ${Message}`];
  if (Failure !== undefined) lines.push(`  The repair failed: ${Failure}`);
  if (State === "repaired") return lines;
  if (Remedy !== undefined) lines.push(`  To mend it: ${Remedy}`);
  else if (Repairable && State === "found") lines.push("  To mend it: gantry system check --repair");
  return lines;
}

function summary(faults: readonly Fault[]): string {
  if (faults.length === 0) return "Nothing is wrong.";
  const repaired = faults.filter(({ State }) => State === "repaired").length;
  const left = faults.length - repaired;
  if (left === 0) return `${plural(repaired, "fault")}, all repaired.`;
  const damaged = faults.filter(
    ({ State, Severity }) => State !== "repaired" && Severity === "damage",
  ).length;
  const parts = [
    ...(damaged > 0 ? [`${damaged} damaged or missing`] : []),
    ...(left > damaged ? [`${left - damaged} left over`] : []),
    ...(repaired > 0 ? [`${repaired} repaired`] : []),
  ];
  return `${plural(faults.length, "fault")}: ${parts.join(", ")}.`;
}
