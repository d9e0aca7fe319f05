import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import type { Client } from "../client/client.ts";
import { complete } from "./completion.ts";
import { completionScripts } from "./output/completion-scripts.ts";

const client = {
  containerList: async ({ all }: { all?: boolean } = {}) => [
    { Names: ["/web", "/other/link"], Image: "nginx", Status: "Up 2 seconds" },
    ...(all === true ? [{ Names: ["/old"], Image: "nginx", Status: "Exited (0)" }] : []),
  ],
  imageList: async () => [{ RepoTags: ["busybox:latest", "busybox:1.36"] }, { RepoTags: ["<none>:<none>"] }],
  networkList: async () => Promise.reject(new Error("no daemon")),
} as unknown as Client;

const cases: readonly (readonly [line: string, expected: readonly string[], files?: boolean])[] = [
  ["imag", ["image", "images"]],
  ["-H unix:///x imag", ["image", "images"]],
  ["-H ", [], true],
  ["image l", ["load", "ls"]],
  ["nothing ", []],
  ["ps --no", ["--no-trunc"]],
  ["ps x", []],
  ["history b", ["busybox", "busybox:latest", "busybox:1.36"]],
  ["history busybox ", []],
  ["inspect ", ["web", "old", "busybox", "busybox:latest", "busybox:1.36"]],
  ["inspect --type=i", ["--type=image"]],
  ["inspect --type i", ["image"]],
  ["run --network h", []],
  ["run -ite X busybox:1", ["busybox:1.36"]],
  ["run busybox ", [], true],
  ["run --env-file ", [], true],
  ["ps --format t", ["table"]],
];

for (const [line, expected, files = false] of cases) {
  test(`completes ${line}`, async () => {
    const result = await complete(client, line.split(" "));
    assert.deepEqual(
      result.candidates.map(({ value }) => value),
      expected,
    );
    assert.equal(result.files, files);
  });
}

for (const shell of ["bash", "zsh", "fish"]) {
  const isThere = spawnSync(shell, ["-c", "exit 0"]).status === 0;
  test(`${shell} can read its script`, { skip: !isThere && `there is no ${shell} here` }, () => {
    const { status, stderr } = spawnSync(shell, ["-n"], {
      input: completionScripts[shell]!,
      encoding: "utf8",
    });
    assert.equal(`${stderr}${status}`, "0");
  });
}
