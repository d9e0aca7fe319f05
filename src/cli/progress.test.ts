import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProgressMessage } from "../wire/image.ts";
import { progressBar, ProgressRenderer } from "./progress.ts";

const pull: readonly ProgressMessage[] = [
  { status: "Pulling from x", id: "latest" },
  { status: "Pulling fs layer", id: "aa", progressDetail: {} },
  { status: "Pulling fs layer", id: "bb", progressDetail: {} },
  { status: "Downloading", id: "aa", progressDetail: { current: 3678, total: 300_452 } },
  { status: "Download complete", id: "aa", progressDetail: {} },
  { status: "Pull complete", id: "bb", progressDetail: {} },
  { status: "Digest: sha256:00" },
];

function draw(messages: readonly ProgressMessage[], isTerminal: boolean, columns: number): string {
  let text = "";
  const renderer = new ProgressRenderer({ isTerminal, columns, write: (part) => (text += part) });
  for (const message of messages) renderer.show(message);
  return text;
}

/** Cursor movements, line ends, and runs of text. */
const pieces = new RegExp(String.raw`\x1b\[\d*[ABK]|\n|\r|[^\x1b\n\r]+`, "g");

/** What a terminal shows after `text`: only what the renderer uses of a terminal's language. */
function screen(text: string): string[] {
  const lines: string[] = [""];
  let row = 0;
  for (const [part] of text.matchAll(pieces)) {
    const count = Number(/\d+/.exec(part)?.[0] ?? 1);
    if (part.endsWith("A") && part.startsWith("\u001b")) row -= count;
    else if (part.endsWith("B") && part.startsWith("\u001b")) row += count;
    else if (part.startsWith("\u001b")) lines[row] = "";
    else if (part === "\n") row += 1;
    else if (part !== "\r") lines[row] = (lines[row] ?? "") + part;
    lines[row] ??= "";
  }
  return lines;
}

test("off a terminal every step is a line and amounts are left out", () => {
  assert.equal(
    draw(pull, false, 0),
    "latest: Pulling from x\naa: Pulling fs layer\nbb: Pulling fs layer\naa: Download complete\nbb: Pull complete\nDigest: sha256:00\n",
  );
});

test("in a terminal each id keeps its line", () => {
  assert.deepEqual(screen(draw(pull.slice(0, 4), true, 80)), [
    "latest: Pulling from x",
    "aa: Downloading  3.678kB/300.5kB",
    "bb: Pulling fs layer",
    "",
  ]);
  assert.deepEqual(screen(draw(pull, true, 80)), [
    "latest: Pulling from x",
    "aa: Download complete",
    "bb: Pull complete",
    "Digest: sha256:00",
    "",
  ]);
});

test("a line is cut at the window's edge, so that it stays one line", () => {
  const long = [{ status: "x".repeat(200), id: "aa", progressDetail: {} }];
  assert.equal(screen(draw(long, true, 40))[0]!.length, 40);
});

test("bars are as wide as there is room", () => {
  const half: ProgressMessage = { progressDetail: { current: 50, total: 100 } };
  assert.equal(progressBar(half, 120), `[${"=".repeat(25)}>${" ".repeat(25)}]      50B/100B`);
  assert.equal(
    progressBar({ progressDetail: { current: 100, total: 100 } }, 0),
    `[${"=".repeat(50)}>]     100B/100B`,
  );
  assert.equal(progressBar(half, 80), "     50B/100B");
  assert.equal(progressBar({ progressDetail: { current: 50 } }, 120), "     50B");
  assert.equal(progressBar({ progressDetail: {} }, 120), "");
});

test("text of a stream is written as it is", () => {
  assert.equal(draw([{ stream: "Loaded image: x\n" }], true, 80), "Loaded image: x\n");
});
