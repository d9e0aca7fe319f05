import assert from "node:assert/strict";
import { test } from "node:test";
import { operationOf } from "./build-graph.ts";
import { testBuilder } from "./builder.fixture.ts";
import { expandInstruction } from "./dockerfile/expand.ts";
import { parseDockerfile } from "./dockerfile/parse.ts";
import { StageScope } from "./dockerfile/scope.ts";
import type { StageState } from "./session-parts.ts";

interface Predicate {
  readonly buildConfig?: {
    readonly llbDefinition: readonly {
      readonly id: string;
      readonly op: { readonly Op: Record<string, { identifier?: string }> };
      readonly inputs?: readonly string[];
    }[];
    readonly digestMapping: Readonly<Record<string, string>>;
  };
  readonly metadata: Readonly<
    Record<
      "https://mobyproject.org/buildkit@v1#metadata",
      {
        readonly source?: {
          readonly locations: Record<string, { locations: [{ ranges: [{ start: { line: number } }] }] }>;
        };
        readonly layers?: Record<string, unknown[][]>;
      }
    >
  >;
}

const metadataKey = "https://mobyproject.org/buildkit@v1#metadata";

test("provenance with mode=max tells the steps, what each stood on, where it is written and its layers", async () => {
  await using it = await testBuilder();
  await it.build(
    { Dockerfile: "FROM scratch\nCOPY a /\n", a: "" },
    { exports: [{ type: "image", names: ["test/base:1"] }] },
  );
  const files = {
    Dockerfile:
      "FROM scratch AS one\nCOPY a /a\nFROM test/base:1\nWORKDIR /w\nCOPY --from=one /a /b\nCOPY a /c\nENV A=1\n",
    a: "text",
  };
  const built = async (mode: "min" | "max"): Promise<{ told: Predicate; digests: Set<string> }> => {
    const { metadata, events } = await it.build(files, { provenance: { mode } });
    const digests = new Set(events.flatMap((event) => (event.kind === "vertex" ? [event.digest] : [])));
    return { told: JSON.parse(metadata["buildx.build.provenance"]!) as Predicate, digests };
  };
  const { told, digests } = await built("max");
  const { llbDefinition, digestMapping } = told.buildConfig!;
  assert.deepEqual(
    llbDefinition.map(({ id, op, inputs = [] }) =>
      [id, op.Op["source"]?.identifier ?? Object.keys(op.Op)[0], ...inputs].join(" "),
    ),
    [
      "step0 docker-image://docker.io/test/base:1",
      "step1 file step0:0",
      "step2 local://context",
      "step3 file step2:0",
      "step4 file step1:0 step3:0",
      "step5 file step4:0 step2:0",
    ],
  );
  assert.deepEqual(Object.values(digestMapping), ["step0", "step1", "step3", "step4", "step5"]);
  for (const digest of Object.keys(digestMapping)) assert.ok(digests.has(digest));
  const { source, layers } = told.metadata[metadataKey];
  assert.deepEqual(
    Object.entries(source!.locations).map(([id, { locations }]) => [id, locations[0].ranges[0].start.line]),
    [
      ["step0", 3],
      ["step1", 4],
      ["step3", 2],
      ["step4", 5],
      ["step5", 6],
    ],
  );
  assert.deepEqual(
    Object.entries(layers!).map(([id, [chain]]) => [id, chain!.length]),
    [
      ["step0:0", 1],
      ["step1:0", 2],
      ["step3:0", 1],
      ["step4:0", 3],
      ["step5:0", 4],
    ],
  );
  const { told: little } = await built("min");
  assert.equal(little.buildConfig, undefined);
  assert.deepEqual(little.metadata[metadataKey], {});
});

test("a step says what it runs and copies, and no password", () => {
  const text =
    "FROM scratch\nRUN --mount=type=cache,target=/c --mount=type=secret,id=s,env=S make\nADD https://me:hush@host/x /to/\nCOPY <<E /at/\nin\nE\n";
  const source = { name: "Dockerfile", text };
  const dockerfile = parseDockerfile(source);
  const scope = StageScope.onImage(["PATH=/bin"]);
  const state = { config: { WorkingDir: "/w", User: "u" }, scope } as unknown as StageState;
  const of = dockerfile.stages[0]!.instructions.map((instruction) =>
    operationOf(expandInstruction(instruction, { variables: new Map(), escape: "\\", source }), state),
  );
  assert.deepEqual(of, [
    {
      exec: {
        meta: { args: ["/bin/sh", "-c", "make"], env: ["PATH=/bin"], cwd: "/w", user: "u" },
        mounts: [{ dest: "/" }, { dest: "/c", mountType: 3 }, { mountType: 1 }],
      },
    },
    { file: { actions: [{ Action: { copy: { src: "https://xxxxx:xxxxx@host/x", dest: "/to/" } } }] } },
    { file: { actions: [{ Action: { mkfile: { path: "/at/E" } } }] } },
  ]);
});
