/** `docker run -t`: a terminal all the way from the user's window to the program. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("run on a terminal", () => {
  const suite = useDaemon();

  test("-t gives the program a terminal, and one stream", async () => {
    const result = await suite.daemon.docker([
      "run",
      "--rm",
      "-t",
      busybox,
      "sh",
      "-c",
      "tty; echo error >&2",
    ]);
    assert.equal(result.stdout, "/dev/pts/0\r\nerror\r\n");
    assert.equal(result.stderr, "");
  });

  test("without -t there is none", async () => {
    const result = await suite.daemon.docker(["run", "--rm", busybox, "tty"]);
    assert.equal(result.stdout, "not a tty\n");
  });

  test("has the size of the window and follows it", async () => {
    const { daemon } = suite;
    const script = "trap 'stty size' WINCH; sleep 0.5; stty size; echo ready; while :; do sleep 0.1; done";
    const command = ["run", "--rm", "-it", "--name", "sized", busybox, "sh", "-c", script];
    const terminal = daemon.dockerOnPty(command, { rows: 31, columns: 97 });
    await terminal.waitFor(/31 97\r\nready/);
    terminal.resize(40, 120);
    await terminal.waitFor(/40 120/);
    await daemon.dockerOk(["kill", "sized"]);
    assert.equal(await terminal.wait(), 137);
  });

  test("ctrl-c reaches the program as SIGINT", async () => {
    const script = "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.1; done";
    const terminal = suite.daemon.dockerOnPty(["run", "--rm", "-it", busybox, "sh", "-c", script]);
    await terminal.waitFor(/ready/);
    terminal.type("\u0003");
    assert.equal(await terminal.wait(), 9);
    assert.match(terminal.output(), /interrupted/);
  });

  test("a shell echoes, runs commands and exits", async () => {
    const terminal = suite.daemon.dockerOnPty(["run", "--rm", "-it", busybox, "sh"]);
    await terminal.waitFor(/# /);
    terminal.type("echo $((6 * 7))\n");
    await terminal.waitFor(/echo \$\(\(6 \* 7\)\)\r\n42\r\n/);
    terminal.type("exit 5\n");
    assert.equal(await terminal.wait(), 5);
  });

  test("ctrl-p ctrl-q detaches and leaves it running", async () => {
    const { daemon } = suite;
    const terminal = daemon.dockerOnPty(["run", "-it", "--name", "left", busybox, "sh"]);
    await terminal.waitFor(/# /);
    terminal.type("\u0010");
    terminal.type("\u0011");
    assert.equal(await terminal.wait(), 0);
    assert.equal(await daemon.dockerOk(["inspect", "-f", "{{.State.Running}}", "left"]), "true");
  });

  test("--detach-keys takes other keys", async () => {
    const { daemon } = suite;
    const terminal = daemon.dockerOnPty([
      "run",
      "-it",
      "--name",
      "left",
      "--detach-keys",
      "ctrl-x,d",
      busybox,
      "sh",
    ]);
    await terminal.waitFor(/# /);
    terminal.type("\u0018d");
    assert.equal(await terminal.wait(), 0);
    assert.equal(await daemon.dockerOk(["inspect", "-f", "{{.State.Running}}", "left"]), "true");
  });

  test("attach to a terminal goes on where it was left", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-dit", "--name", "shell", busybox, "sh"]);
    const terminal = daemon.dockerOnPty(["attach", "shell"], { rows: 33, columns: 101 });
    await terminal.waitFor(/# /);
    // The client makes the window one larger and then right again, so that programs draw anew.
    await eventually(
      () => {
        terminal.type("stty size\n");
        return /33 101/.test(terminal.output());
      },
      { intervalMs: 200 },
    );
    terminal.type("\u0010\u0011");
    assert.equal(await terminal.wait(), 1);
    assert.match(terminal.output(), /read escape sequence/);
    const again = daemon.dockerOnPty(["attach", "shell"]);
    await again.waitFor(/# /);
    again.type("exit 6\n");
    assert.equal(await again.wait(), 6);
  });

  test("TERM is set with a terminal only", async () => {
    const { daemon } = suite;
    const withTerminal = await daemon.dockerOk(["run", "--rm", "-t", busybox, "sh", "-c", "echo $TERM"]);
    assert.equal(withTerminal.trim(), "xterm");
    const env = await daemon.dockerOk(["run", "--rm", busybox, "env"]);
    assert.doesNotMatch(env, /^TERM=/m);
  });
});
