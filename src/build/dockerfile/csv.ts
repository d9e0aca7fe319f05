/** One line of comma-separated fields (RFC 4180), as `--mount` and its kin take them. */

/** Throws a plain `Error` for quotes that do not end or stand inside of a field. */
export function csvFields(line: string): string[] {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (line[at] === '"') {
      let field = "";
      for (at++; ; at++) {
        if (at >= line.length) throw new Error('extraneous or missing " in quoted-field');
        if (line[at] !== '"') field += line[at]!;
        else if (line[at + 1] === '"') field += line[at++]!;
        else break;
      }
      at++;
      if (at < line.length && line[at] !== ",") throw new Error('extraneous or missing " in quoted-field');
      fields.push(field);
    } else {
      const end = line.indexOf(",", at);
      const field = line.slice(at, end === -1 ? undefined : end);
      if (field.includes('"')) throw new Error('bare " in non-quoted-field');
      fields.push(field);
      at += field.length;
    }
    if (at >= line.length) return fields;
    at++;
  }
}
