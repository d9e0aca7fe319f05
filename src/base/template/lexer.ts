import { goQuote } from "../go-text.ts";

/** Kinds of tokens of Go's text/template. `text` is what stands between actions. */
export type TokenKind =
  | "text"
  | "leftDelim"
  | "rightDelim"
  | "space"
  | "field"
  | "variable"
  | "dot"
  | "identifier"
  | "keyword"
  | "nil"
  | "bool"
  | "number"
  | "string"
  | "rawString"
  | "char"
  | "pipe"
  | "declare"
  | "assign"
  | "comma"
  | "leftParen"
  | "rightParen"
  | "end";

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  /** Offset in the source, in UTF-16 units. */
  readonly position: number;
}

/** A template that cannot be read; `message` is text/template's, `template: :LINE: …`. */
export class TemplateSyntaxError extends Error {
  override readonly name = "TemplateSyntaxError";
}

/** Makes the error for a mistake at `position`, in the form of Go's text/template/parse. */
export function syntaxError(source: string, position: number, message: string): TemplateSyntaxError {
  const line = 1 + source.slice(0, position).split("\n").length - 1;
  return new TemplateSyntaxError(`template: :${line}: ${message}`);
}

const keywords = new Set("block break continue define else end if range template with".split(" "));

const spaceBefore = /[ \t\r\n]+$/;
const spaceAfter = /^[ \t\r\n]+/;

/** Splits a template into tokens, applies trim markers and drops comments. Throws {@link TemplateSyntaxError}. */
export function lexTemplate(source: string): Token[] {
  const tokens: Token[] = [];
  let position = 0;
  let isTrimmed = false;
  const pushText = (text: string, at: number): void => {
    if (text !== "") tokens.push({ kind: "text", text, position: at });
  };
  for (;;) {
    const open = source.indexOf("{{", position);
    let text = source.slice(position, open < 0 ? undefined : open);
    if (isTrimmed) text = text.replace(spaceAfter, "");
    if (open < 0) {
      pushText(text, position);
      break;
    }
    const trimsLeft = /^-[ \t\r\n]/.test(source.slice(open + 2, open + 4));
    pushText(trimsLeft ? text.replace(spaceBefore, "") : text, position);
    const start = open + 2 + (trimsLeft ? 2 : 0);
    const after = lexComment(source, start) ?? lexAction(source, { open, start }, tokens);
    isTrimmed = after.trimsRight;
    position = after.position;
  }
  tokens.push({ kind: "end", text: "", position: source.length });
  return tokens;
}

interface ActionEnd {
  readonly position: number;
  readonly trimsRight: boolean;
}

function lexComment(source: string, start: number): ActionEnd | undefined {
  if (!source.startsWith("/*", start)) return undefined;
  const close = source.indexOf("*/", start + 2);
  if (close < 0) throw syntaxError(source, start, "unclosed comment");
  const end = /^(?:[ \t\r\n]-)?\}\}/.exec(source.slice(close + 2));
  if (end === null) throw syntaxError(source, start, "comment ends before closing delimiter");
  return { position: close + 2 + end[0].length, trimsRight: end[0].length > 2 };
}

const patterns: readonly (readonly [kind: TokenKind, pattern: RegExp])[] = [
  ["space", /[ \t\r\n]+/y],
  ["rawString", /`[^`]*`/y],
  ["string", /"(?:[^"\\\n]|\\[^\n])*"/y],
  ["char", /'(?:[^'\\\n]|\\[^\n])+'/y],
  [
    "number",
    /[+-]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)/y,
  ],
  ["variable", /\$[\p{L}\p{Nd}_]*/uy],
  ["field", /\.[\p{L}_][\p{L}\p{Nd}_]*/uy],
  ["dot", /\./y],
  ["identifier", /[\p{L}_][\p{L}\p{Nd}_]*/uy],
  ["declare", /:=/y],
  ["assign", /=/y],
  ["pipe", /\|/y],
  ["comma", /,/y],
  ["leftParen", /\(/y],
  ["rightParen", /\)/y],
];

function lexAction(source: string, at: { open: number; start: number }, tokens: Token[]): ActionEnd {
  let position = at.start;
  let depth = 0;
  tokens.push({ kind: "leftDelim", text: "{{", position: at.open });
  for (;;) {
    const close = /^(?:[ \t\r\n]-)?\}\}/.exec(source.slice(position, position + 4));
    if (close !== null) {
      if (depth > 0) throw syntaxError(source, position, "unclosed left paren");
      tokens.push({ kind: "rightDelim", text: "}}", position });
      return { position: position + close[0].length, trimsRight: close[0].length > 2 };
    }
    const token = nextToken(source, position);
    if (token.kind === "leftParen") depth++;
    if (token.kind === "rightParen" && --depth < 0)
      throw syntaxError(source, position, "unexpected right paren");
    tokens.push(token);
    position += token.text.length;
  }
}

function nextToken(source: string, position: number): Token {
  if (position >= source.length) throw syntaxError(source, position, "unclosed action");
  for (const [kind, pattern] of patterns) {
    pattern.lastIndex = position;
    const text = pattern.exec(source)?.[0];
    if (text === undefined) continue;
    if (kind === "identifier") return { kind: wordKind(text), text, position };
    return { kind, text, position };
  }
  const char = String.fromCodePoint(source.codePointAt(position)!);
  if (char === '"') throw syntaxError(source, position, "unterminated quoted string");
  if (char === "`") throw syntaxError(source, position, "unterminated raw quoted string");
  if (char === "'") throw syntaxError(source, position, "unterminated character constant");
  if (char === ":") throw syntaxError(source, position, "expected :=");
  const code = char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0");
  throw syntaxError(source, position, `bad character U+${code} '${char}'`);
}

function wordKind(word: string): TokenKind {
  if (keywords.has(word)) return "keyword";
  if (word === "true" || word === "false") return "bool";
  return word === "nil" ? "nil" : "identifier";
}

/** How messages show a token. */
export function describeToken(token: Token): string {
  if (token.kind === "end") return "EOF";
  if (token.kind === "keyword") return `<${token.text}>`;
  return token.text.length > 10 ? `${goQuote(token.text.slice(0, 10))}...` : goQuote(token.text);
}
