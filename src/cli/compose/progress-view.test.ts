import { deepEqual, equal, match } from "node:assert/strict";
import { describe, it } from "node:test";
import { ProgressView, type ProgressMode } from "./progress-view.ts";

const escape = "\u001b";
const sequence = new RegExp(`${escape}\\[(\\d*)([A-Za-z])`);
const pieces = new RegExp(`${sequence.source}|\\r|\\n|[^${escape}\\r\\n]+`, "g");

/** What a terminal shows: as much of one as a view of progress asks for. */
class Screen {
  lines: string[] = [""];
  #row = 0;

  write(text: string): void {
    for (const [piece] of text.matchAll(pieces)) {
      const [, count = "", what] = sequence.exec(piece) ?? [];
      if (what === "A") this.#row -= Number(count);
      else if (what === "J") this.lines = [...this.lines.slice(0, this.#row), ""];
      else if (piece === "\n") this.lines[++this.#row] ??= "";
      else if (piece !== "\r") this.lines[this.#row] += piece;
    }
  }
}

function view(mode: ProgressMode) {
  const screen = new Screen();
  const progress = new ProgressView(
    {
      mode,
      colours: false,
      columns: () => 60,
      rows: () => 20,
      write(text) {
        // The line's end is the caller's, as with everything that the command line prints.
        equal(text.at(-1), "\n", JSON.stringify(text));
        screen.write(text);
      },
    },
    "Running",
  );
  return { screen, progress };
}

describe("ProgressView", () => {
  it("draws in the same place, with what is printed above it", async () => {
    const { screen, progress } = view("tty");
    progress.report({ id: "Network n", kind: "working", text: "Creating" });
    progress.report({ id: "Container c", kind: "working", text: "Creating" });
    for (const line of ["one", "two", "three"]) progress.print(line);
    progress.report({ id: "Network n", kind: "done", text: "Created" });
    progress.print("four");
    progress.report({ id: "Container c", kind: "done", text: "Created" });
    progress.finish();
    const [one, two, three, four, title, network, container, ...rest] = screen.lines;
    deepEqual([one, two, three, four, title, rest], ["one", "two", "three", "four", "[+] Running 2/2", [""]]);
    match(network!, /^ ✔ Network n +Created +\d\.\ds$/);
    match(container!, /^ ✔ Container c +Created +\d\.\ds$/);
  });

  it("begins anew below what was finished", () => {
    const { screen, progress } = view("tty");
    for (const id of ["a", "b"]) {
      progress.report({ id, kind: "done", text: "Done" });
      progress.finish();
    }
    equal(screen.lines.length, 5);
    progress.print("last");
    equal(screen.lines.at(-2), "last");
  });

  it("writes lines where nothing can move", () => {
    const { screen, progress } = view("plain");
    progress.report({ id: "Container c", kind: "working", text: "Creating" });
    progress.report({ id: "Container c", kind: "error", text: "Error", detail: "why" });
    progress.report({ id: "c", what: "copy a to b", kind: "done", text: "Copied" });
    progress.finish();
    deepEqual(screen.lines, [
      " Container c  Creating",
      " Container c  Error  why",
      " c copy a to b Copied",
      "",
    ]);
  });

  it("says nothing when it is to be quiet", () => {
    const { screen, progress } = view("quiet");
    progress.report({ id: "c", kind: "done", text: "Done" });
    progress.finish();
    deepEqual(screen.lines, [""]);
  });
});
