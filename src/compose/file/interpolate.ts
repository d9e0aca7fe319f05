/**
 * Variables in compose files: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?error}`,
 * `${NAME?error}`, `${NAME:+other}`, `${NAME+other}`, nested within each other, and `$$` for a dollar sign.
 * Compose specification, "Interpolation".
 */
export type Lookup = (name: string) => string | undefined;

export interface Interpolation {
  readonly lookup: Lookup;
  /** Told of every variable that is not set and has no default. */
  readonly onUnset?: (name: string) => void;
}

/** `${` that is no variable. */
export class InvalidTemplateError extends Error {
  override readonly name = "InvalidTemplateError";
}

/** A variable that `${NAME:?...}` wants is not there. */
export class MissingVariableError extends Error {
  override readonly name = "MissingVariableError";
}

const plainName = /[_a-zA-Z][_a-zA-Z0-9]*/y;

/** The text with its variables replaced. Throws the errors above. */
export function interpolate(text: string, options: Interpolation): string {
  let result = "";
  let index = 0;
  for (;;) {
    const dollar = text.indexOf("$", index);
    if (dollar < 0) return result + text.slice(index);
    result += text.slice(index, dollar);
    const next = text[dollar + 1];
    if (next === "$") {
      result += "$";
      index = dollar + 2;
    } else if (next === "{") {
      const end = closingBrace(text, dollar + 1);
      if (end < 0) throw new InvalidTemplateError(text);
      result += braced(text.slice(dollar + 2, end), text, options);
      index = end + 1;
    } else {
      const name = nameAt(text, dollar + 1);
      result += name === "" ? "$" : value(name, options);
      index = dollar + 1 + name.length;
    }
  }
}

function nameAt(text: string, index: number): string {
  plainName.lastIndex = index;
  return plainName.exec(text)?.[0] ?? "";
}

function value(name: string, { lookup, onUnset }: Interpolation): string {
  const found = lookup(name);
  if (found === undefined) onUnset?.(name);
  return found ?? "";
}

/** Index of the brace that closes the one at `open`; where they do not pair up, the last one of the line. */
function closingBrace(text: string, open: number): number {
  const lineEnd = text.indexOf("\n", open);
  const line = lineEnd < 0 ? text : text.slice(0, lineEnd);
  let depth = 0;
  for (let index = open; index < line.length; index++) {
    if (line[index] === "{") depth++;
    else if (line[index] === "}" && --depth === 0) return index;
  }
  const last = line.lastIndexOf("}");
  return last > open ? last : -1;
}

function braced(inner: string, whole: string, options: Interpolation): string {
  const name = nameAt(inner, 0);
  if (name === "") throw new InvalidTemplateError(whole);
  const rest = inner.slice(name.length);
  if (rest === "") return value(name, options);
  const match = /^(:?[-+?])(.*)$/s.exec(rest);
  if (match === null) throw new InvalidTemplateError(whole);
  const [, operator, word] = match as unknown as [string, string, string];
  const found = options.lookup(name);
  const isThere = found !== undefined && (!operator.startsWith(":") || found !== "");
  const other = interpolate(word, options);
  switch (operator.at(-1)) {
    case "-":
      return isThere ? found : other;
    case "+":
      return isThere ? other : (found ?? "");
    default:
      if (isThere) return found;
      throw new MissingVariableError(
        `required variable ${name} is missing a value${other === "" ? "" : `: ${other}`}`,
      );
  }
}

/** A variable that a text names: for `config --variables`. */
export interface VariableUse {
  readonly name: string;
  readonly isRequired: boolean;
  readonly defaultValue: string;
  readonly presenceValue: string;
}

/** The variables that a text names, those within defaults too. */
export function variablesOf(text: string): VariableUse[] {
  const uses: VariableUse[] = [];
  for (let index = text.indexOf("$"); index >= 0; index = text.indexOf("$", index)) {
    if (text[index + 1] === "$") {
      index += 2;
      continue;
    }
    const isBraced = text[index + 1] === "{";
    const name = nameAt(text, index + (isBraced ? 2 : 1));
    if (name === "") {
      index++;
      continue;
    }
    const end = isBraced ? closingBrace(text, index + 1) : index + 1 + name.length;
    const rest = isBraced && end > 0 ? text.slice(index + 2 + name.length, end) : "";
    const operator = /^:?([-+?])/.exec(rest);
    const word = operator === null ? "" : rest.slice(operator[0].length);
    uses.push({
      name,
      isRequired: operator?.[1] === "?",
      defaultValue: operator?.[1] === "-" ? word : "",
      presenceValue: operator?.[1] === "+" ? word : "",
    });
    uses.push(...variablesOf(word));
    index = Math.max(end, index + 1);
  }
  return uses;
}
