import { controlEscapes } from "../go-escapes.ts";

const simpleEscapes: Readonly<Record<string, string>> = {
  ...controlEscapes,
  "\\": "\\",
  "'": "'",
  '"': '"',
};

/** The value of a Go string or rune literal, quotes and all. Throws `Error` for an escape that Go does not know. */
export function unquote(literal: string): string {
  const body = literal.slice(1, -1);
  if (literal.startsWith("`")) return body.replaceAll("\r", "");
  const bytes: (string | number)[] = [];
  const pattern = /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))|([^\\]+)/gsy;
  for (const match of body.matchAll(pattern)) {
    const [, hex, unicode, longUnicode, octal, simple, plain] = match;
    if (plain !== undefined) bytes.push(plain);
    else if (hex !== undefined) bytes.push(Number.parseInt(hex, 16));
    else if (octal !== undefined) bytes.push(Number.parseInt(octal, 8) & 0xff);
    else if (unicode !== undefined || longUnicode !== undefined) {
      bytes.push(String.fromCodePoint(Number.parseInt((unicode ?? longUnicode)!, 16)));
    } else {
      const value = simpleEscapes[simple!];
      if (value === undefined) throw new Error(`unknown escape \\${simple!}`);
      bytes.push(value);
    }
  }
  if (bytes.every((part) => typeof part === "string")) return bytes.join("");
  return Buffer.concat(
    bytes.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.of(part))),
  ).toString();
}
