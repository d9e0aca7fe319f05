/** Published ports of containers whose networks come and go while they run. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { removingNetworks } from "../helpers/networks.ts";
import { eventually } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

const words = (line: string): string[] => line.split(" ");

describe("published ports follow a container's networks", () => {
  const suite = useDaemon();
  const docker = (line: string): Promise<string> => suite.daemon.dockerOk(words(line));
  const serve = (options: string): Promise<string> =>
    docker(`run -d --name box ${options} ${busybox} nc -ll -p 80 -e echo served`);
  const isServed = async (address: string, port: number): Promise<boolean> =>
    (await suite.daemon.host.run(words(`busybox nc -w 1 ${address} ${port}`))).stdout.includes("served");
  const served = (address: string, port: number): Promise<void> =>
    eventually(() => isServed(address, port), { timeoutMs: 60_000, what: `${address}:${port}` });
  const published = (ports: string): Promise<void> =>
    eventually(async () => (await docker("port box")) === ports, { timeoutMs: 60_000, what: ports });

  test("a container that is on an internal network first is published when it is connected to another", () =>
    removingNetworks(suite.daemon, ["gt-in", "gt-out"], async () => {
      await docker("network create --internal --subnet 10.201.50.0/24 gt-in");
      await docker("network create --subnet 10.201.51.0/24 gt-out");
      await serve("--network gt-in -p 127.0.0.1:18080:80");
      assert.equal(await docker("port box"), "");
      assert.equal(await isServed("127.0.0.1", 18_080), false);
      await docker("network connect gt-out box");
      assert.equal(await docker("port box"), "80/tcp -> 127.0.0.1:18080");
      await served("127.0.0.1", 18_080);
      // What was published live goes on with the next daemon, and follows there too.
      await suite.daemon.killHard();
      await served("127.0.0.1", 18_080);
      await suite.daemon.launch();
      assert.equal(await docker("port box"), "80/tcp -> 127.0.0.1:18080");
      await served("127.0.0.1", 18_080);
      await docker("network disconnect gt-out box");
      assert.equal(await docker("port box"), "");
      // The port is free for somebody else, who keeps it.
      await docker(`run -d --name other -p 127.0.0.1:18080:80 ${busybox} nc -ll -p 80 -e echo other`);
      const refused = await suite.daemon.docker(words("network connect gt-out box"));
      assert.match(refused.stderr, /Bind for 127\.0\.0\.1:18080 failed: port is already allocated/);
      assert.doesNotMatch(await docker("exec box ip -o link"), /eth1/);
      await docker("rm -f other");
      await docker("network connect gt-out box");
      await served("127.0.0.1", 18_080);
    }));

  test("a container without a network is published when it gets one", async () => {
    await serve("--network none -p 127.0.0.1:18081:80");
    await docker("network disconnect none box");
    await docker("network connect bridge box");
    await served("127.0.0.1", 18_081);
  });

  test("ports that somebody else has on the next network stay asked for", () =>
    removingNetworks(suite.daemon, ["gt-a", "gt-b"], async () => {
      const binding = "-o com.docker.network.bridge.host_binding_ipv4";
      await docker(`network create --subnet 10.201.55.0/24 ${binding}=127.0.0.1 gt-a`);
      await docker(`network create --subnet 10.201.56.0/24 ${binding}=127.0.0.2 gt-b`);
      await serve("--network gt-a -p 18083:80");
      await docker("network connect gt-b box");
      await docker(`run -d --name other -p 127.0.0.2:18083:80 ${busybox} nc -ll -p 80 -e echo other`);
      assert.equal(await docker("port box"), "80/tcp -> 127.0.0.1:18083");
      await docker("network disconnect gt-a box");
      assert.equal(await docker("port box"), "");
      await docker("network connect gt-a box");
      assert.equal(await docker("port box"), "80/tcp -> 127.0.0.1:18083");
      await served("127.0.0.1", 18_083);
      // They are tried again by themselves, also by the next daemon.
      await docker("network disconnect gt-a box");
      await suite.daemon.killHard();
      await suite.daemon.launch();
      assert.equal(await docker("port box"), "");
      await docker("rm -f other");
      await published("80/tcp -> 127.0.0.2:18083");
      await served("127.0.0.2", 18_083);
    }));

  test("a change of networks that is cut off by the daemon's end leaves ports as the networks want them", () =>
    removingNetworks(suite.daemon, ["gt-a", "gt-b"], async () => {
      const mode = "-o com.docker.network.bridge.gateway_mode_ipv4=routed";
      const binding = "-o com.docker.network.bridge.host_binding_ipv4=127.0.0.1";
      await docker(`network create --subnet 10.201.57.0/24 ${mode} gt-a`);
      await docker(`network create --subnet 10.201.58.0/24 ${binding} gt-b`);
      const cutOff = async (point: string, line: string): Promise<void> => {
        await suite.daemon.killHard();
        await suite.daemon.launch({ GANTRY_FAILPOINTS: `${point}=exit` });
        assert.notEqual((await suite.daemon.docker(words(line))).code, 0, `${point} was not passed`);
        // Its end may not be known here yet.
        if (suite.daemon.running) await suite.daemon.killHard();
        await suite.daemon.launch();
      };
      await serve("--network gt-a -p 18084:80");
      await docker("network connect gt-b box");
      assert.equal(await docker("port box"), "80/tcp -> 10.201.57.2:80");
      await cutOff("network-disconnect.detached", "network disconnect gt-a box");
      assert.equal(await docker("port box"), "80/tcp -> 127.0.0.1:18084");
      await served("127.0.0.1", 18_084);
      await cutOff("network-disconnect.detached", "network disconnect gt-b box");
      assert.equal(await docker("port box"), "");
      assert.equal(await isServed("127.0.0.1", 18_084), false);
      for (const point of [
        "network-connect.attached",
        "network-open.held",
        "network-connect.before-record",
      ]) {
        await cutOff(point, "network connect gt-b box");
        assert.equal(await docker("port box"), "");
        await docker("network connect gt-b box");
        assert.equal(await docker("port box"), "80/tcp -> 127.0.0.1:18084");
        await served("127.0.0.1", 18_084);
        await docker("network disconnect gt-b box");
      }
    }));

  test("ports of a routed network follow to the next one, of whatever mode, and back", () =>
    removingNetworks(suite.daemon, ["gt-a", "gt-b", "gt-c"], async () => {
      const mode = "-o com.docker.network.bridge.gateway_mode_ipv4=routed";
      await docker(`network create --subnet 10.201.52.0/24 ${mode} gt-a`);
      await docker(`network create --subnet 10.201.53.0/24 ${mode} gt-b`);
      await docker("network create --subnet 10.201.54.0/24 gt-c");
      await serve("--network gt-a -p 18082:80");
      for (const name of ["gt-b", "gt-c"]) await docker(`network connect ${name} box`);
      assert.equal(await docker("port box"), "80/tcp -> 10.201.52.2:80");
      await docker("network disconnect gt-a box");
      assert.equal(await docker("port box"), "80/tcp -> 10.201.53.2:80");
      const exposed = async (): Promise<string> =>
        (await suite.daemon.host.run(words("nft list set inet gantry exposed4"))).stdout;
      assert.match(await exposed(), /elements = \{ 10\.201\.53\.2 \. tcp \. 80 \}/);
      await docker("network disconnect gt-b box");
      assert.match(await docker("port box"), /^80\/tcp -> 0\.0\.0\.0:18082/);
      assert.doesNotMatch(await exposed(), /elements/);
      await served("127.0.0.1", 18_082);
      await docker("network connect --ip 10.201.52.9 gt-a box");
      assert.equal(await docker("port box"), "80/tcp -> 10.201.52.9:80");
      assert.equal(await isServed("127.0.0.1", 18_082), false);
      await served("10.201.52.9", 80);
    }));
});
