/** What networks are called and found by, and which kinds of them there are not. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { dockerFails, removingNetworks } from "../helpers/networks.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("names of networks", () => {
  const suite = useDaemon();
  const docker = (...args: string[]): Promise<string> => suite.daemon.dockerOk(args);
  const inside = (name: string, script: string): Promise<string> => docker("exec", name, "sh", "-c", script);
  const removing = (names: readonly string[], work: () => Promise<void>): Promise<void> =>
    removingNetworks(suite.daemon, names, work);
  const fails = (expected: RegExp, ...args: string[]): Promise<void> =>
    dockerFails(suite.daemon, args, expected);

  test("a name with a slash is a network's like another, by both command lines", () =>
    removing(["team/web"], async () => {
      await docker("network", "create", "team/web");
      await docker("run", "-d", "--name", "one", "--network", "team/web", busybox, "sleep", "300");
      assert.match(await inside("one", "nslookup one.team/web. 127.0.0.11"), /Address: \d/);
      assert.equal(await docker("network", "inspect", "-f", "{{.Name}}", "team/web"), "team/web");
      const shown = await suite.daemon.gantry(["network", "inspect", "-f", "{{.Name}}", "team/web"]);
      assert.equal(shown.stdout, "team/web\n", shown.stderr);
      await docker("network", "disconnect", "team/web", "one");
      await docker("network", "connect", "--alias", "x", "team/web", "one");
      assert.match(await inside("one", "nslookup x. 127.0.0.11"), /Address: \d/);
      await docker("rm", "-f", "one");
    }));

  test("names and ids in filters are regular expressions", () =>
    removing(["gt-exp1", "my-gt-exp"], async () => {
      await docker("network", "create", "gt-exp1");
      const id = await docker("network", "create", "my-gt-exp");
      const named = (filter: string): Promise<string> =>
        docker("network", "ls", "--format", "{{.Name}}", "-f", filter);
      assert.equal(await named("name=^gt-exp"), "gt-exp1");
      assert.equal(await named("name=gt-exp.$"), "gt-exp1");
      assert.equal(await named("name=gt-exp"), "gt-exp1\nmy-gt-exp");
      assert.equal(await named(`id=^${id.slice(0, 9)}`), "my-gt-exp");
    }));

  test("what needs a plugin or a swarm is refused with a word", async () => {
    await fails(/could not find plugin weave/, "network", "create", "-d", "weave", "gt-x");
    await fails(/could not find plugin infoblox/, "network", "create", "--ipam-driver", "infoblox", "gt-x");
    await fails(/swarm/, "network", "create", "-d", "overlay", "gt-x");
    await fails(/swarm/, "network", "create", "--scope", "swarm", "gt-x");
    await fails(/swarm/, "network", "create", "--ingress", "gt-x");
    await fails(/only one instance of "host" network is allowed/, "network", "create", "-d", "host", "gt-x");
    await fails(/not permitted on predefined/, "network", "create", "bridge");
    for (const name of ["bridge", "host", "none"])
      await fails(/pre-defined network and cannot be removed/, "network", "rm", name);
  });
});
