import { equal } from "node:assert/strict";
import { describe, it } from "node:test";
import { Footer } from "./footer.ts";

const erase = "\r\u001b[J";

function footer(columns = 80) {
  const written: string[] = [];
  const footer = new Footer({
    colours: false,
    columns: () => columns,
    write: (text) => void written.push(text),
  });
  return { footer, written: (): string => written.splice(0).join("") };
}

describe("Footer", () => {
  it("stays below the lines, and goes without a trace", () => {
    const { footer: line, written } = footer();
    equal(line.above("one\n"), "one\n");
    line.set([
      ["w", "Watch"],
      ["d", "Detach"],
    ]);
    equal(written(), "w Watch   d Detach");
    equal(line.above("two\n"), `${erase}two\nw Watch   d Detach`);
    line.set([]);
    equal(written(), erase);
    equal(line.above("three\n"), "three\n");
  });

  it("makes room for what others draw", () => {
    const { footer: line, written } = footer();
    line.set([["w", "Watch"]]);
    written();
    line.hide();
    equal(written(), erase);
    line.redraw();
    line.set([["w", "No watch"]]);
    equal(written(), "");
    equal(line.above("one\n"), "one\n");
    line.show();
    equal(written(), "w No watch");
  });

  it("is one line in a narrow window", () => {
    const { footer: line, written } = footer(12);
    line.set([
      ["w", "Watch"],
      ["d", "Detach"],
    ]);
    equal(written(), "w Watch   d");
  });
});
