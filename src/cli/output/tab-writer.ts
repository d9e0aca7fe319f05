export interface TabWriterOptions {
  /** Narrowest column, with its padding. */
  readonly minWidth: number;
  /** Spaces behind the widest cell of a column. */
  readonly padding: number;
}

/** Docker's tables. */
const tableOptions: TabWriterOptions = { minWidth: 10, padding: 3 };

/**
 * Aligns the tab-separated cells of `text` with spaces, as Go's text/tabwriter does: a column is a run of neighbouring
 * lines that all have a cell there which a tab ends, so the last cell of a line never widens anything.
 */
export function alignTabs(text: string, options: TabWriterOptions = tableOptions): string {
  const lines = text.split("\n").map((line) => line.split("\t"));
  const widths: number[][] = lines.map(() => []);
  measure(lines, widths, options, { from: 0, to: lines.length, column: 0 });
  return lines
    .map((cells, row) =>
      cells
        .map((cell, column) => {
          const isLast = column === cells.length - 1;
          return isLast ? cell : cell + " ".repeat(widths[row]![column]! - cellWidth(cell));
        })
        .join(""),
    )
    .join("\n");
}

function measure(
  lines: readonly (readonly string[])[],
  widths: number[][],
  options: TabWriterOptions,
  { from, to, column }: { from: number; to: number; column: number },
): void {
  let row = from;
  while (row < to) {
    if (lines[row]!.length - 1 <= column) {
      row++;
      continue;
    }
    const start = row;
    let width = options.minWidth;
    while (row < to && lines[row]!.length - 1 > column) {
      width = Math.max(width, cellWidth(lines[row]![column]!) + options.padding);
      row++;
    }
    for (let index = start; index < row; index++) widths[index]![column] = width;
    measure(lines, widths, options, { from: start, to: row, column: column + 1 });
  }
}

/** Go counts a cell's characters, whatever a terminal makes of them. */
function cellWidth(cell: string): number {
  return Array.from(cell).length;
}
