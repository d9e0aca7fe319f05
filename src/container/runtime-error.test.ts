import assert from "node:assert/strict";
import { test } from "node:test";
import { lastRuntimeMessage, runtimeError } from "./runtime-error.ts";
import { parseSyncMessage } from "./sync-pipe.ts";

const prefix = "failed to create task for container: failed to create shim task: OCI runtime create failed: ";
const unable = "unable to start container process: ";

test("what runtimes print becomes what Docker says", () => {
  const table: [string, string, string, string][] = [
    [
      "crun",
      "executable file `foo` not found in $PATH: No such file or directory",
      `${prefix}crun create failed: ${unable}exec: "foo": executable file not found in $PATH: unknown`,
      "invalidArgument",
    ],
    [
      "crun",
      "2026-11-21T03:24:00.1Z: executable file `/a/b` not found in $PATH: No such file or directory\n",
      `${prefix}crun create failed: ${unable}exec: "/a/b": stat /a/b: no such file or directory: unknown`,
      "invalidArgument",
    ],
    [
      "crun",
      "open executable: Permission denied",
      `${prefix}crun create failed: ${unable}exec: "/prog": permission denied: unknown`,
      "invalidArgument",
    ],
    [
      "crun",
      "chdir `/x`: Not a directory",
      `${prefix}crun create failed: ${unable}chdir to cwd ("/x") set in config.json failed: not a directory: unknown`,
      "invalidArgument",
    ],
    [
      "crun",
      "cgroups in hybrid mode not supported",
      `${prefix}crun create failed: cgroups in hybrid mode not supported: unknown`,
      "internal",
    ],
    [
      "runc",
      'time="2026-11-21T03:24:00Z" level=warning msg="signal: killed"\ntime="2026-11-21T03:24:00Z" level=error msg="runc create failed: unable to start container process: exec: \\"foo\\": executable file not found in $PATH"\n',
      `${prefix}runc create failed: ${unable}exec: "foo": executable file not found in $PATH: unknown`,
      "invalidArgument",
    ],
    [
      "runc",
      "",
      `${prefix}runc create failed: the runtime ended, or was killed, without a message: unknown`,
      "internal",
    ],
  ];
  for (const [runtimeName, output, message, kind] of table) {
    const error = runtimeError({ verb: "create", runtimeName, output, program: "/prog" });
    assert.equal(error.message, message);
    assert.equal(error.kind, kind);
  }
  const exec = runtimeError({
    verb: "exec",
    runtimeName: "runc",
    output:
      'time="x" level=error msg="exec failed: unable to start container process: exec: \\"foo\\": executable file not found in $PATH"',
    program: "foo",
  });
  assert.equal(
    exec.message,
    `OCI runtime exec failed: exec failed: ${unable}exec: "foo": executable file not found in $PATH: unknown`,
  );
});

test("JSON logs, cut-off lines and odd texts", () => {
  assert.equal(lastRuntimeMessage('{"msg":"a \\"b\\"","level":"error"}\n'), 'a "b"');
  assert.equal(lastRuntimeMessage('time="x" level=error msg="cut off he'), "cut off he");
  assert.equal(lastRuntimeMessage("plain\nlast\n\n"), "last");
});

test("conmon's messages", () => {
  assert.deepEqual(parseSyncMessage('{"data": 17}'), { data: 17, message: "" });
  assert.deepEqual(parseSyncMessage('{"data": -1, "message": "a\\/b\\u000a"}'), {
    data: -1,
    message: "a/b\n",
  });
  assert.deepEqual(parseSyncMessage("what?"), { data: -1, message: "what?" });
});

test("a container that was paused between asking and starting is a conflict, a program of such a name is not", () => {
  const table: [string, string][] = [
    [`the container \`${"a1".repeat(32)}\` is paused`, "conflict"],
    ["exec failed: cannot exec in a paused container (use --ignore-paused to override)", "conflict"],
    ["executable file `is paused` not found in $PATH: No such file or directory", "invalidArgument"],
  ];
  for (const [output, kind] of table) {
    const error = runtimeError({ verb: "exec", runtimeName: "crun", output, program: "is paused" });
    assert.equal(error.kind, kind, error.message);
  }
});
