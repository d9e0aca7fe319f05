/** `docker events`: what is told, in which order, with which filters. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("events", () => {
  const suite = useDaemon();
  const format = ["--format", "{{.Type}} {{.Action}}"];

  /** The events that `action` causes, as `type action`. */
  async function during(action: () => Promise<unknown>, filters: string[] = []): Promise<string[]> {
    const { daemon } = suite;
    const since = (Date.now() / 1000).toFixed(3);
    await action();
    const until = (Date.now() / 1000 + 0.05).toFixed(3);
    await daemon.host.run(["sleep", "0.1"]);
    const flags = filters.flatMap((filter) => ["--filter", filter]);
    const told = await daemon.dockerOk(["events", "--since", since, "--until", until, ...format, ...flags]);
    return told === "" ? [] : told.split("\n");
  }

  test("run --rm, in Docker's order", async () => {
    const { daemon } = suite;
    const told = await during(() => daemon.dockerOk(["run", "--rm", "--name", "box", busybox, "true"]));
    assert.deepEqual(told, [
      "container create",
      "container attach",
      "network connect",
      "container start",
      "container die",
      "network disconnect",
      "container destroy",
    ]);
  });

  test("stop, restart, rename, kill, rm -f", async () => {
    const { daemon } = suite;
    const script = "trap 'exit 0' TERM; while :; do sleep 0.05; done";
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sh", "-c", script]);
    await daemon.host.run(["sleep", "0.3"]);
    const only = ["type=container"];
    assert.deepEqual(await during(() => daemon.dockerOk(["stop", "box"]), only), [
      "container kill",
      "container die",
      "container stop",
    ]);
    assert.deepEqual(await during(() => daemon.dockerOk(["restart", "box"]), only), [
      "container start",
      "container restart",
    ]);
    assert.deepEqual(await during(() => daemon.dockerOk(["rename", "box", "fox"]), only), [
      "container rename",
    ]);
    assert.deepEqual(await during(() => daemon.dockerOk(["rm", "-f", "fox"]), only), [
      "container kill",
      "container die",
      "container destroy",
    ]);
  });

  test("a start that fails tells no start and no end, and gives back what it told of", async () => {
    const { daemon } = suite;
    const told = await during(() =>
      daemon.docker(["run", "--name", "box", "-v", "evt:/data", busybox, "no-such-program"]),
    );
    const wanted = [
      "volume create",
      "container create",
      "container attach",
      "network connect",
      "volume mount",
      "network disconnect",
      "volume unmount",
    ];
    assert.deepEqual(told, wanted);
    await daemon.dockerOk(["rm", "box"]);
    await daemon.dockerOk(["volume", "rm", "evt"]);
  });

  test("an exec that cannot be started does not die", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sleep", "60"]);
    const told = await during(() => daemon.docker(["exec", "box", "no-such-program"]), ["type=container"]);
    assert.deepEqual(
      told.map((line) => line.trimEnd()),
      ["container exec_create: no-such-program", "container exec_start: no-such-program"],
    );
  });

  test("exec is told with its command", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sleep", "60"]);
    const told = await during(() => daemon.dockerOk(["exec", "box", "echo", "hi"]), ["type=container"]);
    assert.deepEqual(told, [
      "container exec_create: echo hi",
      "container exec_start: echo hi",
      "container exec_die",
    ]);
  });

  test("die carries the exit code, and all carry labels, image and name", async () => {
    const { daemon } = suite;
    const since = (Date.now() / 1000).toFixed(3);
    await daemon.docker(["run", "--name", "box", "--label", "team=red", busybox, "sh", "-c", "exit 3"]);
    const until = (Date.now() / 1000 + 0.1).toFixed(3);
    const told = await daemon.dockerOk([
      "events",
      "--since",
      since,
      "--until",
      until,
      "--filter",
      "event=die",
      "--format",
      "{{json .}}",
    ]);
    const event = JSON.parse(told) as {
      Actor: { ID: string; Attributes: Record<string, string> };
      scope: string;
      timeNano: number;
    };
    assert.match(event.Actor.ID, /^[0-9a-f]{64}$/);
    assert.equal(event.scope, "local");
    const { exitCode, image, name, team } = event.Actor.Attributes;
    assert.deepEqual([exitCode, image, name, team], ["3", busybox, "box", "red"]);
  });

  test("filters by container, event, label and image", async () => {
    const { daemon } = suite;
    const act = async (): Promise<void> => {
      await daemon.dockerOk(["run", "--name", "one", "--label", "a=b", busybox, "true"]);
      await daemon.dockerOk(["run", "--name", "two", busybox, "true"]);
      await daemon.dockerOk(["rm", "one", "two"]);
    };
    assert.deepEqual(await during(act, ["container=one", "event=die"]), ["container die"]);
    assert.deepEqual(await during(act, ["label=a=b", "event=start"]), ["container start"]);
    assert.equal((await during(act, [`image=${busybox}`, "event=create"])).length, 2);
    assert.deepEqual(await during(act, ["type=volume"]), []);
  });

  test("image tag, untag", async () => {
    const { daemon } = suite;
    const told = await during(async () => {
      await daemon.dockerOk(["tag", busybox, "other/name:1"]);
      await daemon.dockerOk(["rmi", "other/name:1"]);
    });
    assert.deepEqual(told, ["image tag", "image untag"]);
  });

  test("are told as they happen", async () => {
    const { daemon } = suite;
    const listening = daemon.startDocker(["events", ...format, "--filter", "type=container"]);
    await daemon.host.run(["sleep", "0.3"]);
    await daemon.dockerOk(["create", "--name", "box", busybox, "true"]);
    await listening.waitForOutput(/container create/);
    await daemon.dockerOk(["start", "-a", "box"]);
    await listening.waitForOutput(/container die/);
    listening.process.kill("SIGTERM");
    await listening.wait();
  });

  test("survive the daemon: since reaches behind a kill", async (context) => {
    const { daemon } = suite;
    if (daemon.flavour === "docker") return context.skip("Docker forgets them");
    const since = (Date.now() / 1000).toFixed(3);
    await daemon.dockerOk(["create", "--name", "box", busybox, "true"]);
    await daemon.killHard();
    await daemon.launch();
    await daemon.dockerOk(["rm", "box"]);
    const until = (Date.now() / 1000 + 0.05).toFixed(3);
    const period = ["--since", since, "--until", until, "--filter", "container=box"];
    const told = await daemon.dockerOk(["events", ...period, ...format]);
    assert.deepEqual(told.split("\n"), ["container create", "container destroy"]);
  });

  test("a filter that nobody knows keeps nothing out, one without a value is refused", async () => {
    const since = String(Date.now() / 1000);
    await suite.daemon.dockerOk(["run", "--rm", busybox, "true"]);
    const until = String(Date.now() / 1000);
    const past = ["events", "--since", since, "--until", until, "--format", "{{.Action}}"];
    const shown = await suite.daemon.dockerOk([...past, "--filter", "nonsense=x", "--filter", "event=die"]);
    assert.equal(shown, "die");
    const refused = await suite.daemon.docker([...past, "--filter", "nonsense"]);
    assert.equal(refused.code, 125);
    assert.match(refused.stderr, /bad format of filter/);
  });
});
