/** Breaks a paragraph into lines of at most `width` columns at its spaces; line feeds in it stay. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    let line = "";
    for (const word of paragraph.split(" ")) {
      if (line !== "" && line.length + 1 + word.length > width) {
        lines.push(line);
        line = word;
      } else {
        line = line === "" ? word : `${line} ${word}`;
      }
    }
    lines.push(line);
  }
  return lines;
}

/** Rows of a left and a right part, the right one wrapped beside the left, which is `leftWidth` columns wide. */
export function twoColumns(
  rows: readonly (readonly [left: string, right: string])[],
  leftWidth: number,
  width: number,
): string {
  let text = "";
  for (const [left, right] of rows) {
    const indent = " ".repeat(leftWidth);
    const [first = "", ...others] = wrapText(right, width - leftWidth);
    const lines = left.length <= leftWidth ? [left.padEnd(leftWidth) + first] : [left, indent + first];
    for (const line of [...lines, ...others.map((other) => indent + other)]) text += `${line.trimEnd()}\n`;
  }
  return text;
}

/** Columns that help is laid out for: the terminal's, kept within what reads well. */
export function helpWidth(columns: number | undefined): number {
  return Math.min(110, Math.max(80, columns ?? 100));
}
