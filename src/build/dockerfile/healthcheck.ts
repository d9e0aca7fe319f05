/** HEALTHCHECK (Dockerfile reference). */
import type { HealthcheckInstruction } from "./ast.ts";
import type { FlagValues } from "./flags.ts";
import { type InstructionText, commandWords, common, readFlags } from "./request.ts";
import { splitOnce } from "./split.ts";
import { parseDurationNs } from "./values.ts";

const minIntervalNs = 1e6;

const durations = {
  interval: "Interval",
  timeout: "Timeout",
  "start-period": "StartPeriod",
  "start-interval": "StartInterval",
} as const;

type Check = {
  -readonly [Key in keyof HealthcheckInstruction["check"]]: HealthcheckInstruction["check"][Key];
};

export function parseHealthcheck(text: InstructionText): HealthcheckInstruction {
  const [word, rest = ""] = splitOnce(text.rest);
  const type = word.toUpperCase();
  if (type === "") throw new Error("HEALTHCHECK requires at least one argument");
  if (type === "NONE") {
    if (rest !== "") throw new Error("HEALTHCHECK NONE takes no arguments");
    return { ...common(text), kind: "healthcheck", check: { Test: ["NONE"] } };
  }
  const flags = readFlags(text, {
    interval: "string",
    timeout: "string",
    "start-period": "string",
    "start-interval": "string",
    retries: "string",
  });
  if (type !== "CMD") throw new Error(`Unknown type ${JSON.stringify(type)} in HEALTHCHECK (try CMD)`);
  const command = commandWords(rest);
  if (command.words.length === 0) throw new Error("Missing command after HEALTHCHECK CMD");
  const check: Check = { Test: [command.form === "exec" ? "CMD" : "CMD-SHELL", ...command.words] };
  addNumbers(check, flags);
  return { ...common(text), kind: "healthcheck", check };
}

function addNumbers(check: Check, flags: FlagValues): void {
  for (const [flag, field] of Object.entries(durations)) {
    const value = flags.text(flag);
    if (value === undefined) continue;
    const ns = parseDurationNs(value);
    if (ns === 0) continue;
    if (ns < minIntervalNs) throw new Error(`Interval ${JSON.stringify(flag)} cannot be less than 1ms`);
    check[field] = ns;
  }
  const retries = flags.text("retries");
  if (retries === undefined) return;
  const parsed = /^[+-]?\d+$/.test(retries) ? Number(retries) : Number.NaN;
  if (Number.isNaN(parsed) || Math.abs(parsed) >= 2 ** 31)
    throw new Error(
      `strconv.ParseInt: parsing ${JSON.stringify(retries)}: ${Number.isNaN(parsed) ? "invalid syntax" : "value out of range"}`,
    );
  if (parsed < 0) throw new Error(`--retries cannot be negative (${parsed})`);
  if (parsed > 0) check.Retries = parsed;
}
