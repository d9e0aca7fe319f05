import { invalidArgument } from "../base/errors.ts";
import { goQuote } from "../base/go-text.ts";
import type { Filters } from "../wire/system.ts";

/** Throws Docker's 400 for a filter key that the listing does not know. */
export function checkFilterKeys(filters: Filters, known: ReadonlySet<string>): void {
  for (const key of filters.keys())
    if (!known.has(key)) throw invalidArgument(key === "" ? "invalid filter" : `invalid filter '${key}'`);
}

/** The values of one key, empty when it is not given. */
export function filterValues(filters: Filters, key: string): readonly string[] {
  return filters.get(key) ?? [];
}

/** True when every `key` or `key=value` is among the labels. */
export function matchLabels(labels: Readonly<Record<string, string>>, wanted: readonly string[]): boolean {
  return wanted.every((text) => {
    const at = text.indexOf("=");
    if (at < 0) return Object.hasOwn(labels, text);
    return Object.hasOwn(labels, text.slice(0, at)) && labels[text.slice(0, at)] === text.slice(at + 1);
  });
}

/** Docker's match: a regular expression, or a part of the text. (moby, filters.Args.Match) */
export function matchesText(text: string, wanted: string): boolean {
  if (text.includes(wanted)) return true;
  try {
    return new RegExp(wanted).test(text);
  } catch {
    return false;
  }
}

/** A filter that takes one boolean; undefined when it is not given. Docker takes 1/true and 0/false. */
export function filterBoolean(filters: Filters, key: string): boolean | undefined {
  const values = filterValues(filters, key);
  if (values.length === 0) return undefined;
  const isTrue = values.includes("1") || values.includes("true");
  const isFalse = values.includes("0") || values.includes("false");
  // Neither, or both; other words beside one of them are nothing to Docker.
  if (isTrue === isFalse) throw invalidArgument(`invalid filter '${key}=[${values.join(" ")}]'`);
  return isTrue;
}

/** A time as RFC 3339, unix seconds, or a Go duration back from now (`10m`, `1h30m`). */
export function untilMs(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  if (/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) {
    const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
    let total = 0;
    for (const [, value = "", unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
      total += Number(value) * unitMs[unit]!;
    return Date.now() - total;
  }
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw invalidArgument(`failed to parse value as time or duration: ${goQuote(text)}`);
  return ms;
}
