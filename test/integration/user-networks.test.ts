/** Networks of users: made, listed, shown, removed; containers on them, live connect and disconnect; isolation. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { dockerFails, removingNetworks } from "../helpers/networks.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("networks of users", () => {
  const suite = useDaemon();
  const docker = (...args: string[]): Promise<string> => suite.daemon.dockerOk(args);
  const inside = (name: string, script: string): Promise<string> => docker("exec", name, "sh", "-c", script);
  const sleeper = (name: string, ...options: string[]): Promise<string> =>
    docker("run", "-d", "--name", name, ...options, busybox, "sleep", "300");
  const removing = (names: readonly string[], work: () => Promise<void>): Promise<void> =>
    removingNetworks(suite.daemon, names, work);
  const address = (container: string, network: string): Promise<string> =>
    docker("inspect", "-f", `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, container);
  const fails = (expected: RegExp, ...args: string[]): Promise<void> =>
    dockerFails(suite.daemon, args, expected);
  const reaches = async (from: string, to: string): Promise<boolean> =>
    (await suite.daemon.docker(["exec", from, "ping", "-c", "1", "-W", "1", to])).code === 0;

  test("create, ls, inspect, rm", () =>
    removing(["gt-one"], async () => {
      const id = await docker(
        "network",
        "create",
        "--subnet",
        "10.201.1.0/24",
        "--label",
        "team=a",
        "-o",
        "x=y",
        "gt-one",
      );
      assert.match(id, /^[0-9a-f]{64}$/);
      assert.equal(
        await docker("network", "ls", "-f", "label=team=a", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"),
        "gt-one bridge local",
      );
      const [shown] = JSON.parse(await docker("network", "inspect", id.slice(0, 9))) as Record<
        string,
        unknown
      >[];
      assert.deepEqual(shown?.["IPAM"], {
        Driver: "default",
        Options: {},
        Config: [{ Subnet: "10.201.1.0/24", Gateway: "10.201.1.1" }],
      });
      assert.deepEqual(shown?.["Options"], { x: "y" });
      assert.deepEqual(shown?.["Labels"], { team: "a" });
      assert.deepEqual(shown?.["Containers"], {});
      assert.equal(await docker("network", "rm", "gt-one"), "gt-one");
      await fails(/network gt-one not found/, "network", "inspect", "gt-one");
    }));

  test("containers on one network reach each other; those on another do not", () =>
    removing(["gt-a", "gt-b"], async () => {
      await docker("network", "create", "gt-a");
      await docker("network", "create", "gt-b");
      await sleeper("one", "--network", "gt-a");
      await sleeper("two", "--network", "gt-a");
      await sleeper("three", "--network", "gt-b");
      await sleeper("four");
      const [one, two, three, four] = [
        await address("one", "gt-a"),
        await address("two", "gt-a"),
        await address("three", "gt-b"),
        await address("four", "bridge"),
      ];
      assert.equal(await reaches("one", two), true);
      assert.equal(await reaches("two", one), true);
      for (const stranger of [three, four]) assert.equal(await reaches("one", stranger), false);
      for (const stranger of [one, two, four]) assert.equal(await reaches("three", stranger), false);
      assert.equal(await reaches("four", one), false);
    }));

  test("connect and disconnect a running container", () =>
    removing(["gt-a", "gt-b"], async () => {
      await docker("network", "create", "--subnet", "10.201.2.0/24", "gt-a");
      await docker("network", "create", "--subnet", "10.201.3.0/24", "gt-b");
      await sleeper("one", "--network", "gt-a");
      await sleeper("two", "--network", "gt-b");
      await docker("network", "connect", "--ip", "10.201.3.77", "--alias", "uno", "gt-b", "one");
      assert.match(await inside("one", "ip -4 -o addr show eth1"), /inet 10\.201\.3\.77\/24/);
      assert.equal(await reaches("one", await address("two", "gt-b")), true);
      await fails(/already exists in network gt-b/, "network", "connect", "gt-b", "one");
      await fails(/has active endpoints/, "network", "rm", "gt-b");
      await docker("network", "disconnect", "gt-b", "one");
      assert.equal(await inside("one", "ls /sys/class/net | tr '\\n' ' '"), "eth0 lo");
      assert.equal(await reaches("one", await address("two", "gt-b")), false);
      await fails(/not connected to network gt-b/, "network", "disconnect", "gt-b", "one");
    }));
});
