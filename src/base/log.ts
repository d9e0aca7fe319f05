/**
 * The daemon's log: one line an entry on standard error, in logfmt, as operators of container engines know it.
 * Nothing else in the engine prints.
 */
export type LogLevel = "debug" | "info" | "warn" | "error" | "fatal";

const order: readonly LogLevel[] = ["debug", "info", "warn", "error", "fatal"];
let threshold = order.indexOf("info");

/** Sets the lowest level that is written. */
export function setLogLevel(level: LogLevel): void {
  threshold = order.indexOf(level);
}

/** True when entries of `level` are written; guards costly fields. */
export function isLogged(level: LogLevel): boolean {
  return order.indexOf(level) >= threshold;
}

/** On one line, and nothing in it that a terminal would obey: JSON leaves DEL, C1 controls and line separators as they are. */
function quoted(text: string): string {
  return JSON.stringify(text).replaceAll(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.codePointAt(0)!.toString(16).padStart(4, "0")}`,
  );
}

function write(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>): void {
  if (!isLogged(level)) return;
  let line = `time="${new Date().toISOString()}" level=${level} msg=${quoted(message)}`;
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const text =
      value instanceof Error
        ? (value.stack ?? value.message)
        : typeof value === "string"
          ? value
          : (JSON.stringify(value) ?? "undefined");
    line += ` ${key}=${/^[\w./:@-]+$/.test(text) ? text : quoted(text)}`;
  }
  process.stderr.write(`${line}\n`);
}

export const log = {
  debug: (message: string, fields: Readonly<Record<string, unknown>> = {}) => write("debug", message, fields),
  info: (message: string, fields: Readonly<Record<string, unknown>> = {}) => write("info", message, fields),
  warn: (message: string, fields: Readonly<Record<string, unknown>> = {}) => write("warn", message, fields),
  error: (message: string, fields: Readonly<Record<string, unknown>> = {}) => write("error", message, fields),
};
