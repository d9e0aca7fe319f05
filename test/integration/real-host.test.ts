/** The same on the machine's own network, which all other files stay away from. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { eventually, run } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";
import { realHost } from "../helpers/test-host.ts";

const skip = process.env["GANTRY_TEST_ENGINE"] === "docker";

describe("on the machine's own network", { skip }, () => {
  const suite = useDaemon({ host: realHost, bridge: "gt-qa-host", bip: "10.247.33.1/24" });

  test("a published port answers on 127.0.0.1 and on the bridge's address", async () => {
    const { daemon } = suite;
    const server = [busybox, "nc", "-ll", "-p", "80", "-e", "echo", "real"];
    await daemon.dockerOk(["run", "-d", "--name", "web", "-p", "80", ...server]);
    const port = /:(\d+)/.exec(await daemon.dockerOk(["port", "web"]))?.[1] ?? "";
    for (const address of ["127.0.0.1", daemon.gateway]) {
      await eventually(
        async () =>
          (await run(["sh", "-c", `busybox nc -w 3 ${address} ${port} </dev/null`])).stdout === "real\n",
        { what: `an answer of ${address}:${port}` },
      );
    }
  });

  test("the bridge is the daemon's own", async () => {
    const { stdout } = await run(["ip", "-4", "-o", "addr", "show", "gt-qa-host"]);
    assert.match(stdout, /inet 10\.247\.33\.1\/24/);
  });

  test("--network host sees the machine's links", async () => {
    const { daemon } = suite;
    const links = await daemon.dockerOk([
      "run",
      "--rm",
      "--network",
      "host",
      busybox,
      "ls",
      "/sys/class/net",
    ]);
    assert.ok(links.split(/\s+/).includes("gt-qa-host"), links);
  });
});
