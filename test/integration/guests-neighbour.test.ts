/** A neighbour on the wire that means harm: what is published for this host alone, or not at all, is not there for it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { eventually, mustRun } from "../helpers/process.ts";
import { connectOutside, openTestHost } from "../helpers/test-host.ts";

const skip = process.env["GANTRY_TEST_ENGINE"] === "docker";

describe("published ports and other hosts", { skip }, () => {
  test("CVE-2025-54388: a port on 127.0.0.1 and a port nobody published are not there for another host", async () => {
    await using host = await openTestHost();
    await using daemon = await TestDaemon.start({ host });
    await ensureBusybox(daemon);
    await using outside = await connectOutside(host);
    // The neighbour sends packets for our loopback and for the containers' addresses to us, and hides nothing.
    for (const command of [
      ["ip", "addr", "flush", "dev", "lo"],
      ["ip", "route", "flush", "table", "local", "dev", "lo"],
      ["sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1", "net.ipv4.conf.all.rp_filter=0"],
      ["ip", "route", "add", "127.0.0.1/32", "via", outside.hostAddress, "src", outside.address],
      ["ip", "route", "add", "10.0.0.0/8", "via", outside.hostAddress],
    ])
      assert.equal((await outside.run(command)).code, 0, command.join(" "));
    // The host is as open as it can be.
    await host.run([
      "sysctl",
      "-qw",
      "net.ipv4.conf.all.route_localnet=1",
      "net.ipv4.conf.all.rp_filter=0",
      "net.ipv4.ip_forward=1",
    ]);
    const serve = ["sh", "-c", "while :; do echo served | nc -l -p 80; done"];
    const id = await daemon.dockerOk([
      "run",
      "-d",
      "-p",
      "127.0.0.1:8080:80",
      "-p",
      "8081:80",
      busybox,
      ...serve,
    ]);
    const address = await daemon.dockerOk(["inspect", "-f", "{{.NetworkSettings.IPAddress}}", id]);
    const ask = async (from: { run: typeof host.run }, to: string, port: number): Promise<string> =>
      (await from.run(["busybox", "nc", "-w", "2", to, String(port)], { timeoutMs: 30_000 })).stdout.trim();
    const answers = (from: { run: typeof host.run }, to: string, port: number): Promise<void> =>
      eventually(async () => (await ask(from, to, port)) === "served", {
        timeoutMs: 60_000,
        what: `${to}:${port}`,
      });
    const check = async (when: string): Promise<void> => {
      await answers(outside, outside.hostAddress, 8081);
      await answers(host, "127.0.0.1", 8080);
      for (const [to, port] of [
        ["127.0.0.1", 8080],
        [outside.hostAddress, 8080],
        [address, 80],
        [address, 8080],
      ] as const)
        assert.equal(await ask(outside, to, port), "", `${to}:${port} ${when}`);
    };
    await check("at first");
    // What a firewall does that is loaded anew: everything of ours is gone for a moment, but for the held socket.
    await mustRun(host.command(["nft", "flush", "ruleset"]));
    assert.equal(await ask(outside, "127.0.0.1", 8080), "", "127.0.0.1:8080 while the rules are away");
    const isBack = async (): Promise<boolean> => (await host.run(["nft", "list", "tables"])).stdout !== "";
    await eventually(isBack, { timeoutMs: 60_000, what: "the table to be written again" });
    await check("after the rules were flushed");
    daemon.signal("SIGHUP");
    await check("after SIGHUP");
    await daemon.killHard();
    for (const [to, port] of [
      ["127.0.0.1", 8080],
      [outside.hostAddress, 8080],
      [address, 80],
    ] as const)
      assert.equal(await ask(outside, to, port), "", `${to}:${port} without a daemon`);
    await daemon.launch();
    await check("with the next daemon");
  });
});
