/** What a container is given on its networks: addresses, names of devices, default routes, published ports; and its end. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { dockerFails, removingNetworks } from "../helpers/networks.ts";
import { eventually } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";
import { connectOutside, type TestHost } from "../helpers/test-host.ts";

const words = (line: string): string[] => line.split(" ");

describe("endpoints", () => {
  const suite = useDaemon();
  const docker = (line: string): Promise<string> => suite.daemon.dockerOk(words(line));
  const inside = (name: string, script: string): Promise<string> =>
    suite.daemon.dockerOk(["exec", name, "sh", "-c", script]);
  const sleeper = (name: string, options = ""): Promise<string> =>
    docker(`run -d --name ${name}${options === "" ? "" : ` ${options}`} ${busybox} sleep 300`);
  const removing = (names: readonly string[], work: () => Promise<void>): Promise<void> =>
    removingNetworks(suite.daemon, names, work);
  const fails = (expected: RegExp, line: string): Promise<void> =>
    dockerFails(suite.daemon, words(line), expected);
  const reaches = async (from: string, to: string): Promise<boolean> =>
    (await suite.daemon.docker(["exec", from, "ping", "-c", "1", "-W", "1", to])).code === 0;
  const field = (container: string, network: string, name: string): Promise<string> =>
    suite.daemon.dockerOk([
      "inspect",
      "-f",
      `{{json (index .NetworkSettings.Networks "${network}").${name}}}`,
      container,
    ]);
  type Where = Pick<TestHost, "run">;
  const ask = async (address: string, port: number, from: Where = suite.daemon.host): Promise<string> => {
    let answer = "";
    await eventually(
      async () => {
        answer = (await from.run(words(`busybox nc -w 2 ${address} ${port}`))).stdout.trim();
        return answer !== "";
      },
      { timeoutMs: 60_000, what: `an answer of ${address}:${port}` },
    );
    return answer;
  };

  test("addresses, hardware address, device's name and settings are as asked for", () =>
    removing(["gt-net"], async () => {
      await docker("network create --subnet 10.201.30.0/24 --subnet fd00:201:30::/64 --ipv6 gt-net");
      // The command line writes all values of --network in small letters, IFNAME too: this goes by the API.
      const container = await suite.daemon.client.createContainer({
        name: "one",
        Image: busybox,
        Cmd: ["sleep", "300"],
        HostConfig: { NetworkMode: "gt-net" },
        NetworkingConfig: {
          EndpointsConfig: {
            "gt-net": {
              Aliases: ["uno"],
              MacAddress: "02:42:00:00:00:09",
              IPAMConfig: {
                IPv4Address: "10.201.30.9",
                IPv6Address: "fd00:201:30::9",
                LinkLocalIPs: ["169.254.9.9"],
              },
              DriverOpts: {
                "com.docker.network.endpoint.ifname": "front0",
                "com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1",
              },
            },
          },
        },
      });
      await container.start();
      const seen = await inside(
        "one",
        "ip -o addr show front0; cat /sys/class/net/front0/address; cat /proc/sys/net/ipv4/conf/front0/log_martians",
      );
      for (const expected of [
        /inet 10\.201\.30\.9\/24/,
        /inet 169\.254\.9\.9\/16/,
        /inet6 fd00:201:30::9\/64/,
        /^02:42:00:00:00:09$/m,
        /^1$/m,
      ])
        assert.match(seen, expected);
      assert.equal(await field("one", "gt-net", "IPAddress"), '"10.201.30.9"');
      assert.equal(await field("one", "gt-net", "GlobalIPv6Address"), '"fd00:201:30::9"');
      assert.equal(await field("one", "gt-net", "MacAddress"), '"02:42:00:00:00:09"');
      assert.match(await field("one", "gt-net", "DNSNames"), /^\["one","uno","[0-9a-f]{12}"\]$/);
      await fails(/Address already in use/, `run --rm --network gt-net --ip 10.201.30.9 ${busybox} true`);
      await fails(
        /invalid config for network gt-net: invalid endpoint settings:\nno configured subnet or ip-range contain the IP address 10\.9\.9\.9/,
        `run --rm --network gt-net --ip 10.9.9.9 ${busybox} true`,
      );
      await fails(/Address already in use/, `run --rm --network gt-net --ip 10.201.30.1 ${busybox} true`);
      await fails(
        /invalid config for network bridge: invalid endpoint settings:\n\* user specified IP address is supported on user defined networks only\n\* no configured subnet or ip-range contain/,
        `run --rm --ip 10.9.9.9 ${busybox} true`,
      );
      await fails(/network nowhere not found/, `run --rm --network nowhere ${busybox} true`);
    }));

  test("several networks: devices in order, one default route, by priority else by name", () =>
    removing(["gt-a", "gt-b", "gt-c"], async () => {
      await docker("network create --subnet 10.201.31.0/24 gt-a");
      await docker("network create --subnet 10.201.32.0/24 gt-b");
      await docker("network create --subnet 10.201.33.0/24 --internal gt-c");
      const route = (name: string): Promise<string> => inside(name, "ip route | grep default");
      await sleeper("one", "--network gt-b --network gt-a --network gt-c");
      assert.match(
        await inside("one", "ip -4 -o addr"),
        /eth0 +inet 10\.201\.32\.[\s\S]*eth1 +inet 10\.201\.3[13]\.[\s\S]*eth2/,
      );
      assert.match(await route("one"), /^default via 10\.201\.31\.1 /);
      await docker("network disconnect gt-a one");
      assert.match(await route("one"), /^default via 10\.201\.32\.1 /);
      await docker("network disconnect gt-b one");
      assert.equal(await inside("one", "ip route | grep default || echo none"), "none");
      await docker("network connect gt-a one");
      assert.match(await route("one"), /^default via 10\.201\.31\.1 /);
      await docker("network connect --gw-priority 5 gt-b one");
      assert.match(await route("one"), /^default via 10\.201\.32\.1 /);
      await docker("restart -t 0 one");
      assert.match(await route("one"), /^default via 10\.201\.32\.1 /);
      assert.equal(await inside("one", "ls /sys/class/net | grep -c eth"), "3");
    }));

  test("a container that does not run is connected with its next start", () =>
    removing(["gt-a", "gt-b"], async () => {
      await docker("network create --subnet 10.201.34.0/24 gt-a");
      await docker("network create --subnet 10.201.35.0/24 gt-b");
      await docker(`create --name one --network gt-a ${busybox} sleep 300`);
      await docker("network connect --ip 10.201.35.35 gt-b one");
      await docker("start one");
      assert.match(await inside("one", "ip -4 -o addr"), /10\.201\.34\.\d+\/24[\s\S]*10\.201\.35\.35\/24/);
      await docker("stop -t 0 one");
      await docker("network disconnect gt-a one");
      await docker("start one");
      assert.doesNotMatch(await inside("one", "ip -4 -o addr"), /10\.201\.34\./);
      await docker("stop -t 0 one");
      // Nobody who runs is on it: it goes, and the start says what is missing.
      await docker("network rm gt-b");
      await fails(/network gt-b not found/, "start one");
    }));

  test("published ports on a network of one's own: from outside, the host, other networks, and hairpin; they follow the default route", async () => {
    const outside = await connectOutside(suite.daemon.host);
    await removing(["gt-a", "gt-b"], async () => {
      try {
        await docker("network create --subnet 10.201.36.0/24 gt-a");
        await docker("network create --subnet 10.201.37.0/24 gt-b");
        await docker(`run -d --name web --network gt-a -p 18136:80 ${busybox} nc -ll -p 80 -e echo hello`);
        await sleeper("other", "--network gt-b");
        const fromContainer = (name: string): Promise<string> =>
          inside(name, "nc -w 2 198.51.100.2 18136 </dev/null");
        const everywhere = async (): Promise<void> => {
          assert.equal(await ask("127.0.0.1", 18136), "hello");
          assert.equal(await ask("198.51.100.2", 18136), "hello");
          assert.equal(await ask("198.51.100.2", 18136, outside), "hello");
          assert.equal(await fromContainer("other"), "hello");
          assert.equal(await fromContainer("web"), "hello");
        };
        await everywhere();
        // The container's own address is no way in.
        await outside.run(words("ip route add 10.201.0.0/16 via 198.51.100.2"));
        const direct = await outside.run(words("busybox nc -w 1 10.201.36.2 80"));
        assert.equal(direct.stdout, "");
        await docker("network connect --gw-priority 9 gt-b web");
        await docker("network disconnect gt-a web");
        await everywhere();
      } finally {
        await suite.daemon.removeContainers();
        await outside[Symbol.asyncDispose]();
      }
    });
  });

  test("masquerade: the world sees the host's address, or with it off the container's; another one by option", async () => {
    const outside = await connectOutside(suite.daemon.host);
    await removing(["gt-yes", "gt-no"], async () => {
      try {
        await docker("network create --subnet 10.201.38.0/24 gt-yes");
        await docker(
          "network create --subnet 10.201.39.0/24 -o com.docker.network.bridge.enable_ip_masquerade=false gt-no",
        );
        const script =
          'require("node:net").createServer((s) => s.end(s.remoteAddress.replace("::ffff:", ""))).listen(18138, "0.0.0.0", () => console.log("ready"))';
        const server = outside.start([process.execPath, "-e", script]);
        try {
          await server.waitForOutput(/ready/);
          await outside.run(words("ip route add 10.201.39.0/24 via 198.51.100.2"));
          const seen = (network: string): Promise<string> =>
            suite.daemon.dockerOk([
              "run",
              "--rm",
              "--network",
              network,
              busybox,
              "sh",
              "-c",
              "nc -w 3 198.51.100.1 18138 </dev/null",
            ]);
          assert.equal(await seen("gt-yes"), "198.51.100.2");
          assert.match(await seen("gt-no"), /^10\.201\.39\./);
        } finally {
          server.process.kill("SIGKILL");
        }
      } finally {
        await suite.daemon.removeContainers();
        await outside[Symbol.asyncDispose]();
      }
    });
  });

  test("gateway modes: routed opens published ports at the container's address, nat-unprotected all of them", async () => {
    const outside = await connectOutside(suite.daemon.host);
    await removing(["gt-routed", "gt-open", "gt-nat"], async () => {
      try {
        const mode = "-o com.docker.network.bridge.gateway_mode_ipv4";
        await docker(`network create --subnet 10.201.41.0/24 ${mode}=routed gt-routed`);
        await docker(`network create --subnet 10.201.42.0/24 ${mode}=nat-unprotected gt-open`);
        await docker("network create --subnet 10.201.43.0/24 gt-nat");
        await outside.run(words("ip route add 10.201.40.0/22 via 198.51.100.2"));
        const serve = (name: string, network: string, options = ""): Promise<string> =>
          suite.daemon.dockerOk([
            ...words(`run -d --name ${name} --network ${network}${options} ${busybox} sh -c`),
            "nc -ll -p 80 -e echo eighty & nc -ll -p 81 -e echo eightyone",
          ]);
        await serve("routed", "gt-routed", " -p 80");
        await serve("open", "gt-open", " -p 18142:80");
        await serve("nat", "gt-nat", " -p 18143:80");
        const direct = async (address: string, port: number): Promise<string> =>
          (await outside.run(words(`busybox nc -w 1 ${address} ${port}`))).stdout.trim();
        assert.equal(await ask("10.201.41.2", 80, outside), "eighty");
        assert.equal(await direct("10.201.41.2", 81), "");
        assert.equal((await outside.run(words("busybox ping -c 1 -W 1 10.201.41.2"))).code, 0);
        assert.match(await docker("port routed"), /^80\/tcp -> 10\.201\.41\.2:80$/);
        assert.equal(await ask("10.201.42.2", 81, outside), "eightyone");
        assert.equal(await ask("198.51.100.2", 18142, outside), "eighty");
        assert.equal(await ask("198.51.100.2", 18143, outside), "eighty");
        assert.equal(await direct("10.201.43.2", 80), "");
      } finally {
        await suite.daemon.removeContainers();
        await outside[Symbol.asyncDispose]();
      }
    });
  });

  test("network container:X shares devices, hosts, hostname and resolv.conf", () =>
    removing(["gt-a"], async () => {
      await docker("network create gt-a");
      await sleeper("one", "--network gt-a --hostname first --add-host db:10.1.2.3");
      await sleeper("two", "--network container:one");
      for (const file of ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"])
        assert.equal(await inside("two", `cat ${file}`), await inside("one", `cat ${file}`), file);
      assert.match(await inside("two", "cat /etc/hosts"), /10\.1\.2\.3\s+db/);
      assert.equal(await inside("two", "echo $(hostname) $HOSTNAME"), "first first");
      assert.equal(await docker("inspect -f {{.Config.Hostname}} two"), "first");
      assert.equal(
        await inside("two", "readlink /proc/self/ns/net"),
        await inside("one", "readlink /proc/self/ns/net"),
      );
      assert.equal(
        await docker("inspect -f {{.HostsPath}} two"),
        await docker("inspect -f {{.HostsPath}} one"),
      );
      await fails(/sharing network namespace/, "network connect gt-a two");
      await fails(/conflicting options/, `run --rm --network container:one --hostname x ${busybox} true`);
      await docker("stop -t 0 one");
      await fails(/non running container/, "restart -t 0 two");
    }));

  test("host and none do not go together with others", () =>
    removing(["gt-a"], async () => {
      await docker("network create gt-a");
      await sleeper("bare", "--network none");
      await sleeper("hosted", "--network host");
      await fails(/private \(none\) mode/, "network connect gt-a bare");
      await fails(
        /network namespace with another container or host cannot be connected/,
        "network connect gt-a hosted",
      );
      await fails(/host network/, "network connect host bare");
      await docker("network disconnect none bare");
      await docker("network connect gt-a bare");
      assert.match(await inside("bare", "ip -4 -o addr show eth0"), /inet /);
      assert.match(await inside("bare", "ip route"), /default via/);
    }));

  test("events tell of networks and who comes and goes", () =>
    removing(["gt-ev"], async () => {
      const since = String(Date.now() / 1000);
      await docker("network create gt-ev");
      await sleeper("one");
      await docker("network connect gt-ev one");
      await docker("network disconnect gt-ev one");
      await docker("rm -f one");
      await docker("network rm gt-ev");
      const told = await suite.daemon.dockerOk([
        ...words(`events --since ${since} --until ${Date.now() / 1000} --filter type=network --format`),
        "{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.type}}",
      ]);
      assert.deepEqual(told.split("\n"), [
        "create gt-ev bridge",
        "connect bridge bridge",
        "connect gt-ev bridge",
        "disconnect gt-ev bridge",
        "disconnect bridge bridge",
        "destroy gt-ev bridge",
      ]);
    }));

  test("prune takes networks that nobody who runs is on, and filters are heeded", () =>
    removing(["gt-used", "gt-kept"], async () => {
      await docker("network create gt-used");
      await docker("network create --label keep gt-kept");
      await docker("network create gt-free");
      await sleeper("one", "--network gt-used");
      const pruned = await docker("network prune -f --filter label!=keep");
      assert.match(pruned, /Deleted Networks:\ngt-free$/);
      assert.equal(await docker("network ls --filter type=custom --format {{.Name}}"), "gt-kept\ngt-used");
      assert.equal(await docker("network ls --filter dangling=true --format {{.Name}}"), "gt-kept");
      await docker("network prune -f --filter until=1h");
      assert.match(await docker("network ls --format {{.Name}}"), /gt-kept/);
    }));

  test("gantry's own commands do the same", () =>
    removing(["gt-own"], async () => {
      const gantry = async (line: string): Promise<string> => {
        const result = await suite.daemon.gantry(words(line));
        assert.equal(result.code, 0, `gantry ${line}: ${result.stderr}`);
        return result.stdout.trimEnd();
      };
      assert.match(
        await gantry(
          "network create --subnet 10.201.40.0/24 --ip-range 10.201.40.128/25 --aux-address x=10.201.40.129 gt-own",
        ),
        /^[0-9a-f]{64}$/,
      );
      await gantry(`run -d --name one --network gt-own ${busybox} sleep 300`);
      assert.equal(await field("one", "gt-own", "IPAddress"), '"10.201.40.128"');
      await gantry(`run -d --name two ${busybox} sleep 300`);
      await gantry("network connect --ip 10.201.40.7 --alias zwei gt-own two");
      assert.equal(await reaches("one", "10.201.40.7"), true);
      assert.match(await gantry("network inspect -f {{.Containers|len}} gt-own"), /^2$/);
      await gantry("network disconnect gt-own two");
      assert.match(await gantry("network ls"), /^NETWORK ID +NAME +DRIVER +SCOPE\n/);
      assert.equal(
        await gantry("network ls --filter name=gt-own --format {{.Name}}/{{.Driver}}/{{.Internal}}"),
        "gt-own/bridge/false",
      );
      await gantry("rm -f one two");
      assert.equal(await gantry("network rm gt-own"), "gt-own");
      assert.equal(await gantry("network rm -f gt-own"), "");
    }));
});
