/** Many execs at once, every flag of `exec`, and several clients on one container. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type Docker from "dockerode";
import { busybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("exec and attach", () => {
  const suite = useDaemon();
  const start = (...flags: string[]): Promise<string> =>
    suite.daemon.dockerOk(["run", "-d", "--name", "box", ...flags]);

  /** Runs `command` by the API; its exit code. */
  async function exec(container: Docker.Container, command: string[]): Promise<number | null> {
    const made = await container.exec({ Cmd: command, AttachStdout: true, AttachStderr: true });
    const stream = await made.start({});
    stream.resume();
    await new Promise<void>((resolve) => void stream.once("end", resolve));
    return (await made.inspect()).ExitCode;
  }

  test(
    "200 execs, 50 at once, each with its own exit code; nothing is left",
    { timeout: 120_000 },
    async () => {
      await start(busybox, "sleep", "600");
      const container = suite.daemon.client.getContainer("box");
      for (let round = 0; round < 4; round += 1) {
        const codes = Array.from({ length: 50 }, (_, index) => index);
        const seen = await Promise.all(codes.map((code) => exec(container, ["sh", "-c", `exit ${code}`])));
        assert.deepEqual(seen, codes);
      }
      assert.equal(await suite.daemon.dockerOk(["inspect", "-f", "{{.ExecIDs}}", "box"]), "[]");
      assert.equal(
        await suite.daemon.dockerOk(["top", "box", "-o", "pid,args"]).then((text) => text.split("\n").length),
        2,
      );
    },
  );

  test("--env-file, -e, -w, -u and --privileged together", async () => {
    const { daemon } = suite;
    await start("-e", "BOTH=container", busybox, "sleep", "600");
    const file = await daemon.file("exec-env", "FILE=one\nBOTH=file\n");
    const script = "echo $FILE $BOTH $FLAG; pwd; id -u; grep CapEff /proc/self/status";
    const ran = await daemon.dockerOk([
      "exec",
      "--env-file",
      file,
      "-e",
      "BOTH=flag",
      "-e",
      "FLAG=two",
      "-w",
      "/etc",
      "-u",
      "0",
      "--privileged",
      "box",
      "sh",
      "-c",
      script,
    ]);
    const bounding = (await daemon.host.run(["grep", "CapBnd", "/proc/self/status"])).stdout
      .trim()
      .split(/\s+/)[1];
    assert.equal(ran, `one flag two\n/etc\n0\nCapEff:\t${bounding}`);
    assert.doesNotMatch(
      await daemon.dockerOk(["exec", "box", "grep", "CapEff", "/proc/self/status"]),
      new RegExp(bounding!),
    );
    for (const [words, message] of [
      [["-u", "stranger", "box", "true"], /unable to find user stranger: no matching entries in passwd file/],
      [["-w", "/no/such/place", "box", "true"], /no such file or directory/i],
      [
        ["-w", "relative", "box", "true"],
        /needs to be an absolute path|not an absolute path|Cwd must be an absolute path/i,
      ],
      [["--env-file", "/no/such", "box", "true"], /open \/no\/such: no such file or directory/],
      [["box"], /requires at least 2 arguments/],
    ] as const) {
      const result = await daemon.docker(["exec", ...words]);
      assert.notEqual(result.code, 0, words.join(" "));
      assert.match(result.stderr + result.stdout, message, words.join(" "));
    }
  });

  test("several clients: each sees all output from when it came; input of one reaches the program", async () => {
    const { daemon } = suite;
    await start(
      "-i",
      busybox,
      "sh",
      "-c",
      "while read -r line; do echo got $line; [ $line = end ] && exit 3; done",
    );
    const watchers = [
      daemon.startDocker(["attach", "--no-stdin", "box"]),
      daemon.startDocker(["attach", "--no-stdin", "box"]),
    ];
    const connected = async (): Promise<boolean> => {
      const probe = daemon.startDocker(["attach", "box"], { input: "" });
      probe.process.stdin?.write("probe\n");
      await probe.waitForOutput(/got probe/);
      probe.process.kill("SIGKILL");
      await probe.wait();
      return watchers.every((watcher) => watcher.stdout().includes("got probe"));
    };
    // A client that goes away does not end the input of a container that was started with -d.
    await eventually(connected, { intervalMs: 200, timeoutMs: 30_000, what: "both watchers" });
    const last = await daemon.docker(["attach", "box"], { input: "end\n" });
    assert.equal(last.code, 3);
    for (const watcher of watchers) {
      const { code, stdout } = await watcher.wait(20_000);
      assert.equal(code, 3);
      assert.match(stdout, /got end\n$/);
    }
  });

  test("detach and come back; replay from the log", async () => {
    const { daemon } = suite;
    await start("-it", busybox, "sh");
    const first = daemon.dockerOnPty(["attach", "--detach-keys", "ctrl-x,d", "box"]);
    first.type("echo $((6 * 7))\n");
    await eventually(() => first.output().includes("42"), { what: () => first.output() });
    first.type("\u0018d");
    await first.wait();
    assert.equal(await daemon.dockerOk(["inspect", "-f", "{{.State.Running}}", "box"]), "true");
    const again = daemon.dockerOnPty(["attach", "box"]);
    again.type("echo $((7 * 8)); exit 5\n");
    await eventually(() => again.output().includes("56"), { what: () => again.output() });
    await again.wait();
    assert.equal(await daemon.dockerOk(["wait", "box"]), "5");
    assert.match(await daemon.dockerOk(["logs", "box"]), /42[\s\S]*56/);
  });

  test("top with options of ps, port in all forms", async () => {
    const { daemon } = suite;
    await start("-p", "127.0.0.1:18080:80", "-p", "127.0.0.1:18081:81/udp", busybox, "sleep", "600");
    assert.match(
      await daemon.dockerOk(["top", "box", "-o", "pid,comm,args"]),
      /^PID +COMMAND +COMMAND\n\d+ +sleep +sleep 600$/,
    );
    assert.match(await daemon.dockerOk(["top", "box", "aux"]), /^USER +PID .*\nroot .* sleep 600$/);
    const wrong = await daemon.docker(["top", "box", "-o", "args"]);
    assert.match(wrong.stderr, /[Cc]ouldn't find PID field in ps output/);
    assert.equal(
      await daemon.dockerOk(["port", "box"]),
      "80/tcp -> 127.0.0.1:18080\n81/udp -> 127.0.0.1:18081",
    );
    assert.equal(await daemon.dockerOk(["port", "box", "80"]), "127.0.0.1:18080");
    assert.equal(await daemon.dockerOk(["port", "box", "81/udp"]), "127.0.0.1:18081");
    assert.match(
      (await daemon.docker(["port", "box", "82"])).stderr,
      /no public port '82(\/tcp)?' published for box/i,
    );
  });
});
