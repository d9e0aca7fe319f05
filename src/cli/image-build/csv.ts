/** `key=value,key=value`, with fields in quotes as in CSV (RFC 4180). */
import { CliError } from "../errors.ts";

/** Keys are in lower case; a field without value is `true`. Throws `CliError`. */
export function csvPairs(text: string): Map<string, string> {
  const fields = text.match(/(?:"(?:[^"]|"")*"|[^,"])+|(?<=,)(?=,|$)/g) ?? [];
  if (fields.join(",") !== text)
    throw new CliError(`cannot read ${JSON.stringify(text)}: a quote does not end`);
  return new Map(
    fields.map((field): [string, string] => {
      const plain = field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field;
      const at = plain.indexOf("=");
      return at === -1
        ? [plain.trim().toLowerCase(), "true"]
        : [plain.slice(0, at).trim().toLowerCase(), plain.slice(at + 1)];
    }),
  );
}
