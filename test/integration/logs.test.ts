/** `docker logs`: both streams, tail, since, until, timestamps, follow. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

const stamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z /;

describe("logs", () => {
  const suite = useDaemon();

  const finished = (script: string, name = "box"): Promise<unknown> =>
    suite.daemon.docker(["run", "--name", name, busybox, "sh", "-c", script]);

  test("both streams, apart and in order", async () => {
    await finished("echo out1; echo err1 >&2; sleep 0.05; echo out2");
    const both = await suite.daemon.docker(["logs", "box"]);
    assert.deepEqual([both.stdout, both.stderr], ["out1\nout2\n", "err1\n"]);
    const merged = await suite.daemon.client.getContainer("box").logs({ stdout: true, stderr: false });
    assert.match(merged.toString(), /out1/);
    assert.doesNotMatch(merged.toString(), /err1/);
  });

  test("no stream chosen is 400", async () => {
    await finished("true");
    await assert.rejects(suite.daemon.client.getContainer("box").logs({ stdout: false, stderr: false }), {
      statusCode: 400,
    });
  });

  test("--tail", async () => {
    await finished("for i in $(seq 1 500); do echo line-$i; done");
    assert.equal(await suite.daemon.dockerOk(["logs", "--tail", "2", "box"]), "line-499\nline-500");
    assert.equal(await suite.daemon.dockerOk(["logs", "--tail", "0", "box"]), "");
    assert.equal((await suite.daemon.dockerOk(["logs", "--tail", "all", "box"])).split("\n").length, 500);
    assert.equal((await suite.daemon.dockerOk(["logs", "-n", "9999", "box"])).split("\n").length, 500);
  });

  test("-t writes RFC 3339 with nanoseconds, in order", async () => {
    await finished("echo a; sleep 0.02; echo b");
    const lines = (await suite.daemon.dockerOk(["logs", "-t", "box"])).split("\n");
    for (const line of lines) assert.match(line, stamp);
    assert.deepEqual(
      lines.map((line) => line.split(" ")[1]),
      ["a", "b"],
    );
    assert.ok((lines[0] ?? "") < (lines[1] ?? ""));
  });

  test("--since and --until cut between lines", async () => {
    await finished("echo early; sleep 1.2; echo late");
    const [early = "", late = ""] = (await suite.daemon.dockerOk(["logs", "-t", "box"])).split("\n");
    const between = new Date(
      (Date.parse(early.split(" ")[0] ?? "") + Date.parse(late.split(" ")[0] ?? "")) / 2,
    );
    const time = between.toISOString();
    assert.equal(await suite.daemon.dockerOk(["logs", "--since", time, "box"]), "late");
    assert.equal(await suite.daemon.dockerOk(["logs", "--until", time, "box"]), "early");
    assert.equal(await suite.daemon.dockerOk(["logs", "--since", "1h", "box"]), "early\nlate");
    assert.equal(await suite.daemon.dockerOk(["logs", "--until", "1h", "box"]), "");
  });

  test("-f shows what comes and ends with the container", async () => {
    const { daemon } = suite;
    const script = "for i in 1 2 3 4 5; do echo tick-$i; sleep 0.2; done; printf 'no newline'";
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sh", "-c", script]);
    const following = daemon.startDocker(["logs", "-f", "box"]);
    await following.waitForOutput(/tick-1/);
    assert.doesNotMatch(following.stdout(), /tick-5/);
    const result = await following.wait();
    const whole = "tick-1\ntick-2\ntick-3\ntick-4\ntick-5\nno newline";
    // 20.10 may lose a last line without its newline here.
    if (daemon.flavour === "gantry") assert.equal(result.stdout, whole);
    else assert.ok(whole.startsWith(result.stdout.trimEnd()));
    assert.equal(result.code, 0);
  });

  test("-f --tail 1 begins with the last line", async () => {
    const { daemon } = suite;
    await daemon.dockerOk([
      "run",
      "-d",
      "--name",
      "box",
      busybox,
      "sh",
      "-c",
      "echo a; echo b; sleep 0.7; echo c",
    ]);
    await eventually(async () => (await daemon.dockerOk(["logs", "box"])).includes("b"));
    const following = daemon.startDocker(["logs", "-f", "--tail", "1", "box"]);
    assert.equal((await following.wait()).stdout, "b\nc\n");
  });

  test("-f of a container that does not run ends with what there is", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["create", "--name", "box", busybox, "echo", "once"]);
    assert.equal(await daemon.dockerOk(["logs", "-f", "box"]), "");
    await daemon.dockerOk(["start", "-a", "box"]);
    assert.equal(await daemon.dockerOk(["logs", "-f", "box"]), "once");
  });

  test("lines over 16 KiB, empty lines and bytes that are no text come back whole", async () => {
    const script =
      "head -c 40000 /dev/zero | tr '\\0' x; echo; echo; printf '\\377\\376\\000\\n'; printf 'umlaut \\303\\274\\n'";
    await finished(script);
    const logs = await suite.daemon.docker(["logs", "box"]);
    const lines = logs.stdoutBytes.toString("latin1").split("\n");
    assert.equal(lines[0], "x".repeat(40_000));
    assert.equal(lines[1], "");
    // JSON has no bytes that are no text: the line has a sign in the place of each.
    assert.equal(Buffer.from(lines[2] ?? "", "latin1").toString(), "\ufffd\ufffd\u0000");
    assert.match(logs.stdoutBytes.toString(), /umlaut ü\n/);
  });

  test("a terminal's log is raw", async () => {
    await suite.daemon.docker(["run", "-t", "--name", "box", busybox, "sh", "-c", "echo a; echo b >&2"]);
    assert.equal((await suite.daemon.docker(["logs", "box"])).stdout, "a\r\nb\r\n");
  });

  test("of two runs of one container both are there", async () => {
    await finished("echo again");
    await suite.daemon.dockerOk(["start", "-a", "box"]);
    assert.equal(await suite.daemon.dockerOk(["logs", "box"]), "again\nagain");
  });

  test("50,000 lines come back complete and in order", async () => {
    await suite.daemon.docker(["run", "--name", "box", busybox, "seq", "1", "50000"], { timeoutMs: 60_000 });
    const lines = (await suite.daemon.docker(["logs", "box"], { timeoutMs: 60_000 })).stdout
      .trimEnd()
      .split("\n");
    assert.equal(lines.length, 50_000);
    assert.ok(lines.every((line, index) => line === String(index + 1)));
  });

  test("of an unknown container: 404", async () => {
    const result = await suite.daemon.docker(["logs", "nobody"]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /No such container: nobody/);
  });
});
