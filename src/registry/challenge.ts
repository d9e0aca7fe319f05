/** `WWW-Authenticate`: what a registry wants to see before it serves (RFC 9110, section 11.6.1). */

export interface Challenge {
  /** Lower case: `bearer`, `basic`. */
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const token = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;

/** The challenges of a header, which may hold several. What cannot be read ends the list without an error. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  const text = header;
  let at = 0;
  const skip = (pattern: RegExp): void => {
    pattern.lastIndex = at;
    if (pattern.test(text)) at = pattern.lastIndex;
  };
  const word = (): string => {
    token.lastIndex = at;
    const found = token.exec(text)?.[0] ?? "";
    at += found.length;
    return found;
  };
  for (;;) {
    skip(/[\s,]*/y);
    const name = word();
    if (name === "") return challenges;
    skip(/\s*/y);
    const current = challenges.at(-1);
    if (text[at] !== "=" || current === undefined) {
      challenges.push({ scheme: name.toLowerCase(), parameters: new Map() });
      continue;
    }
    at += 1;
    skip(/\s*/y);
    const value = text[at] === '"' ? quoted() : word();
    if (value === undefined) return challenges;
    current.parameters.set(name.toLowerCase(), value);
  }

  function quoted(): string | undefined {
    let value = "";
    for (at += 1; at < text.length; at += 1) {
      if (text[at] === '"') {
        at += 1;
        return value;
      }
      if (text[at] === "\\") at += 1;
      value += text[at] ?? "";
    }
    return undefined;
  }
}
