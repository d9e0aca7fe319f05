import assert from "node:assert/strict";
import { test } from "node:test";
import type { BuildStatus } from "../../client/buildkit/solve.ts";
import { csvPairs } from "./csv.ts";
import { BuildModel, sizeText } from "./model.ts";
import { PlainView } from "./plain-view.ts";
import { failureText, warningsText } from "./progress.ts";
import { drawBuild } from "./terminal-view.ts";

const at = (ms: number): { seconds: bigint; nanos: number } => ({
  seconds: BigInt(Math.floor(ms / 1000)),
  nanos: (ms % 1000) * 1e6,
});

type Vertex = BuildStatus["vertexes"][number];

function vertex(name: string, more: Partial<Vertex> = {}): Vertex {
  return {
    digest: name,
    inputs: [],
    name,
    cached: false,
    started: at(1000),
    completed: undefined,
    error: "",
    ...more,
  };
}

function status(parts: Partial<BuildStatus>): BuildStatus {
  return { vertexes: [], statuses: [], logs: [], warnings: [], ...parts };
}

const log = (name: string, text: string, ms = 1500): BuildStatus["logs"][number] => ({
  vertex: name,
  timestamp: at(ms),
  stream: 1,
  msg: Buffer.from(text),
});

const build = [
  status({ vertexes: [vertex("[1/3] FROM a"), vertex("[2/3] RUN x", { started: undefined })] }),
  status({ vertexes: [vertex("[1/3] FROM a", { cached: true, completed: at(1000) })] }),
  status({ vertexes: [vertex("[2/3] RUN x"), vertex("[other 1/1] RUN y")] }),
  status({ logs: [log("[2/3] RUN x", "first\nsec"), log("[other 1/1] RUN y", "of y\n")] }),
  status({
    statuses: [
      {
        ID: "transferring context:",
        vertex: "[2/3] RUN x",
        name: "",
        current: 2_500_000,
        total: 0,
        timestamp: at(1200),
        started: at(1000),
        completed: at(1200),
      },
    ],
  }),
  status({ vertexes: [vertex("[other 1/1] RUN y", { completed: at(1700) })] }),
  status({ logs: [log("[2/3] RUN x", "ond\r50%\r100%\nlast", 1900)] }),
  status({ vertexes: [vertex("[2/3] RUN x", { completed: at(2000), error: "exit code: 3" })] }),
];

test("lines of one step stay together, also when steps run at once", () => {
  let text = "";
  const model = new BuildModel();
  {
    using view = new PlainView((more) => (text += more));
    for (const message of build) view.show(model.apply(message));
  }
  assert.equal(
    text,
    [
      "#1 [1/3] FROM a",
      "#1 CACHED",
      "",
      "#2 [2/3] RUN x",
      "#2 0.500 first",
      "#2 transferring context: 2.50MB 0.2s done",
      "#2 0.900 100%",
      "#2 1.000 last",
      "#2 ERROR: exit code: 3",
      "",
      "#3 [other 1/1] RUN y",
      "#3 0.500 of y",
      "#3 DONE 0.7s",
      "",
    ].join("\n"),
  );
});

test("a terminal shows each step with its time, and what a running one says", () => {
  const model = new BuildModel();
  for (const message of build.slice(0, 6)) model.apply(message);
  const lines = drawBuild(model, { columns: 40, rows: 24, isLast: false, nowMs: model.startedMs + 2300 });
  assert.equal(lines[0]?.text, "[+] Building 2.3s (2/3)");
  assert.equal(lines[1]?.text, " => CACHED [1/3] FROM a             0.0s");
  assert.equal(lines[1]?.tone, "blue");
  assert.match(lines[2]?.text ?? "", /^ => \[2\/3\] RUN x /);
  assert.equal(lines[3]?.text, " => => transferring context: 2.50MB 0.2s");
  assert.equal(lines[4]?.text, " => => # first");
  for (const { text } of lines) assert.ok(text.length <= 60);
  const small = drawBuild(model, { columns: 40, rows: 4, isLast: false, nowMs: Date.now() });
  assert.ok(small.length <= 3);
});

test("a failure shows the step's last words and the file's lines", () => {
  const model = new BuildModel();
  for (const message of build) model.apply(message);
  const source = {
    filename: "Dockerfile",
    text: "FROM a\nRUN x \\\n  y\nCMD z\n",
    ranges: [{ start: { line: 2 }, end: { line: 3 } }],
  };
  assert.equal(
    failureText(model, [source]),
    "------\n > [2/3] RUN x:\n0.500 first\n0.900 100%\n1.000 last\n------\n" +
      "Dockerfile:2\n--------------------\n   1 |     FROM a\n   2 | >>> RUN x \\\n   3 | >>>   y\n   4 |     CMD z\n--------------------\n",
  );
});

test("warnings are counted", () => {
  const model = new BuildModel();
  assert.equal(warningsText(model), "");
  const range = { start: { line: 3, character: 0 }, end: { line: 3, character: 0 } };
  const warning = {
    vertex: "",
    level: 1,
    short: Buffer.from("Rule: words"),
    detail: [],
    url: "",
    info: undefined,
    ranges: [range],
  };
  model.apply(status({ warnings: [warning] }));
  assert.equal(warningsText(model), "\n 1 warning found:\n - Rule: words (line 3)\n");
});

test("sizes have decimal units, and fields may be quoted", () => {
  assert.deepEqual([0, 999, 1000, 3_000_000, 2.5e9].map(sizeText), [
    "0B",
    "999B",
    "1.00kB",
    "3.00MB",
    "2.50GB",
  ]);
  assert.deepEqual(
    [...csvPairs('type=local,"dest=a,b",X,e=')],
    [
      ["type", "local"],
      ["dest", "a,b"],
      ["x", "true"],
      ["e", ""],
    ],
  );
  assert.throws(() => csvPairs('a="b'), /quote/);
});
