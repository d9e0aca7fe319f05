import assert from "node:assert/strict";
import { test } from "node:test";
import type { BuildEvent } from "../build/build.ts";
import { type ClassicMessage, ClassicStream } from "./classic-stream.ts";

type StepState = Extract<BuildEvent, { kind: "step" }>["state"];

function recorded(): {
  stream: ClassicStream;
  text: () => string;
  step: (index: number, state: StepState, id?: string) => void;
} {
  const messages: ClassicMessage[] = [];
  const stream = new ClassicStream((message) => messages.push(message));
  return {
    stream,
    text: () => messages.map((message) => message.stream ?? JSON.stringify(message.aux)).join(""),
    step: (index, state, id) =>
      stream.onEvent({
        kind: "step",
        vertex: `v${index}`,
        index,
        total: 3,
        text: `STEP${index}`,
        state,
        ...(id === undefined ? {} : { id }),
      }),
  };
}

const log = (vertex: string, text: string | Buffer): BuildEvent => ({
  kind: "log",
  vertex,
  stream: "stdout",
  data: Buffer.from(text),
  timeNs: 0n,
});

test("steps that run at once are told one after another, in the file's order", () => {
  const { stream, text, step } = recorded();
  step(1, "begin");
  step(3, "begin");
  step(3, "running", "c".repeat(64));
  stream.onEvent(log("v3", "third\n"));
  step(3, "done", "3".repeat(64));
  step(1, "done", `sha256:${"1".repeat(64)}`);
  step(2, "begin");
  step(2, "cached");
  step(2, "done", "2".repeat(64));
  stream.finish(`sha256:${"f".repeat(64)}`, ["a:1", "b:2"]);
  assert.equal(
    text(),
    [
      "Step 1/3 : STEP1\n ---> 111111111111\n",
      "Step 2/3 : STEP2\n ---> Using cache\n ---> 222222222222\n",
      "Step 3/3 : STEP3\n ---> Running in cccccccccccc\nthird\n ---> ffffffffffff\n",
      JSON.stringify({ ID: `sha256:${"f".repeat(64)}` }),
      "Successfully built ffffffffffff\nSuccessfully tagged a:1\nSuccessfully tagged b:2\n",
    ].join(""),
  );
});

test("a character that comes in two pieces stays one", () => {
  const { stream, text, step } = recorded();
  step(1, "begin");
  const bytes = Buffer.from("ü");
  stream.onEvent(log("v1", bytes.subarray(0, 1)));
  stream.onEvent(log("v1", bytes.subarray(1)));
  assert.ok(text().endsWith("\nü"));
});

test("a step that failed is told though one before it has not ended", () => {
  const { stream, text, step } = recorded();
  step(1, "begin");
  step(3, "begin");
  stream.onEvent(log("v3", "why\n"));
  stream.flushVertex("v3");
  assert.match(text(), /Step 3\/3 : STEP3\nwhy\n$/);
});
