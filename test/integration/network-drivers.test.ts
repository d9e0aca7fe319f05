/** Drivers and their options as the kernel sees them: bridge options, IPv6, macvlan, ipvlan, configuration networks. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { dockerFails, removingNetworks } from "../helpers/networks.ts";
import { useDaemon } from "../helpers/suite.ts";
import { connectOutside } from "../helpers/test-host.ts";

const words = (line: string): string[] => line.split(" ");

describe("network drivers", () => {
  const suite = useDaemon();
  const docker = (...args: string[]): Promise<string> => suite.daemon.dockerOk(args);
  const host = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await suite.daemon.host.run(args);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return stdout.trim();
  };
  const inside = (name: string, script: string): Promise<string> => docker("exec", name, "sh", "-c", script);
  const sleeper = (name: string, ...options: string[]): Promise<string> =>
    docker("run", "-d", "--name", name, ...options, busybox, "sleep", "300");
  const removing = (names: readonly string[], work: () => Promise<void>): Promise<void> =>
    removingNetworks(suite.daemon, names, work);
  const fails = (expected: RegExp, ...args: string[]): Promise<void> =>
    dockerFails(suite.daemon, args, expected);
  const reaches = async (from: string, to: string): Promise<boolean> =>
    (await suite.daemon.docker(["exec", from, "ping", "-c", "1", "-W", "1", to])).code === 0;

  /** Whether the kernel has a kind of network device; the leftover of the trial is removed. */
  const hasKind = async (...kind: string[]): Promise<boolean> => {
    const made = await suite.daemon.host.run([
      "ip",
      "link",
      "add",
      "link",
      "lo",
      "name",
      "gt-try",
      "type",
      ...kind,
    ]);
    await suite.daemon.host.run(["ip", "link", "del", "gt-try"]);
    return !/Unknown device type/.test(made.stderr);
  };

  test("bridge: name, mtu, icc, and the address of the host", () =>
    removing(["gt-opt"], async () => {
      await docker(
        ...words(
          "network create --subnet 10.201.10.0/24 --gateway 10.201.10.254 -o com.docker.network.bridge.name=gt-net1 -o com.docker.network.driver.mtu=1400 -o com.docker.network.bridge.enable_icc=false gt-opt",
        ),
      );
      assert.match(await host("ip", "-4", "-o", "addr", "show", "gt-net1"), /inet 10\.201\.10\.254\/24/);
      await sleeper("one", "--network", "gt-opt");
      await sleeper("two", "--network", "gt-opt");
      assert.equal(await inside("one", "cat /sys/class/net/eth0/mtu"), "1400");
      assert.match(await inside("one", "ip route"), /default via 10\.201\.10\.254 dev eth0/);
      assert.equal(await reaches("one", "10.201.10.254"), true);
      assert.equal(await reaches("one", "10.201.10.2"), false);
      await fails(
        /networks have same bridge name/,
        "network",
        "create",
        "-o",
        "com.docker.network.bridge.name=gt-net1",
        "gt-other",
      );
      for (const [option, words] of [
        ["com.docker.network.bridge.enable_icc=maybe", /enable_icc/],
        ["com.docker.network.driver.mtu=1", /MTU/],
        ["com.docker.network.bridge.name=no/name", /invalid bridge name/],
        ["com.docker.network.bridge.gateway_mode_ipv4=odd", /gateway_mode_ipv4/],
        ["com.docker.network.bridge.gateway_mode_ipv4=isolated", /internal/],
        ["com.docker.network.bridge.host_binding_ipv4=x", /host_binding_ipv4/],
      ] as const)
        await fails(words, "network", "create", "-o", option, "gt-bad");
    }));

  test("bridge: a device that was there stays", () =>
    removing(["gt-mine"], async () => {
      await host("ip", "link", "add", "gt-own", "type", "bridge");
      await docker(
        "network",
        "create",
        "--subnet",
        "10.201.11.0/24",
        "-o",
        "com.docker.network.bridge.name=gt-own",
        "gt-mine",
      );
      assert.match(await host("ip", "-4", "-o", "addr", "show", "gt-own"), /inet 10\.201\.11\.1\/24/);
      await docker("network", "rm", "gt-mine");
      await host("ip", "link", "show", "gt-own");
      await host("ip", "link", "del", "gt-own");
    }));

  test("IPv6: addresses asked for and given, both default routes, and the way between containers", () =>
    removing(["gt-six", "gt-auto"], async () => {
      await host("ip", "link", "add", "gt-ra", "type", "bridge");
      await docker(
        "network",
        "create",
        "--ipv6",
        "--subnet",
        "10.201.12.0/24",
        "--subnet",
        "fd00:201:12::/64",
        "gt-six",
      );
      // A device of the host that hears routers goes on to, although the host is a router itself now.
      assert.equal(await host("cat", "/proc/sys/net/ipv6/conf/all/forwarding"), "1");
      assert.equal(await host("cat", "/proc/sys/net/ipv6/conf/gt-ra/accept_ra"), "2");
      await host("ip", "link", "del", "gt-ra");
      await sleeper("one", "--network", "gt-six", "--ip6", "fd00:201:12::77", "--ip", "10.201.12.77");
      await sleeper("two", "--network", "gt-six");
      assert.match(await inside("one", "ip -6 -o addr show eth0"), /inet6 fd00:201:12::77\/64 scope global/);
      assert.match(await inside("one", "ip -6 route"), /default via fd00:201:12::1 dev eth0/);
      const two = await docker(
        "inspect",
        "-f",
        '{{(index .NetworkSettings.Networks "gt-six").GlobalIPv6Address}}',
        "two",
      );
      assert.match(two, /^fd00:201:12::/);
      assert.equal((await suite.daemon.docker(["exec", "one", "ping6", "-c", "1", "-W", "2", two])).code, 0);
      assert.match(
        await docker("network", "inspect", "-f", "{{range .Containers}}{{.IPv6Address}} {{end}}", "gt-six"),
        /fd00:201:12::77\/64/,
      );
      await docker("network", "create", "--ipv6", "gt-auto");
      assert.match(
        await docker("network", "inspect", "-f", "{{json .IPAM.Config}}", "gt-auto"),
        /"Subnet":"fd[0-9a-f:]+::\/64"/,
      );
      const only = await docker("network", "create", "--ipv6", "--ipv4=false", "gt-only6");
      try {
        const seen = await docker(
          "run",
          "--rm",
          "--network",
          only,
          busybox,
          "sh",
          "-c",
          "ip -4 addr show eth0; ip -6 -o addr show scope global",
        );
        assert.match(seen, /inet6 fd/);
        assert.doesNotMatch(seen, /inet \d/);
      } finally {
        await docker("network", "rm", "gt-only6");
      }
    }));

  test("internal: no way out and none in, not even by published ports", async () => {
    const outside = await connectOutside(suite.daemon.host);
    await removing(["gt-in", "gt-out"], async () => {
      try {
        await docker("network", "create", "--internal", "--subnet", "10.201.13.0/24", "gt-in");
        await docker("network", "create", "--subnet", "10.201.14.0/24", "gt-out");
        await sleeper("one", "--network", "gt-in", "-p", "18113:80");
        await sleeper("two", "--network", "gt-in");
        await sleeper("three", "--network", "gt-out");
        assert.doesNotMatch(await inside("one", "ip route"), /default/);
        assert.equal(await reaches("one", "10.201.13.3"), true);
        assert.equal(await reaches("three", "198.51.100.1"), true);
        await inside("one", "true");
        // Also with a route by hand nothing goes out.
        await docker(
          "run",
          "--rm",
          "--cap-add",
          "NET_ADMIN",
          "--network",
          "container:one",
          busybox,
          "ip",
          "route",
          "add",
          "default",
          "via",
          "10.201.13.1",
        );
        assert.equal(await reaches("one", "198.51.100.1"), false);
        assert.equal(await reaches("one", "10.201.14.2"), false);
        assert.equal(
          await docker("inspect", "-f", '{{(index .NetworkSettings.Networks "gt-in").Gateway}}', "one"),
          "",
        );
        assert.equal(await docker("port", "one"), "");
      } finally {
        await suite.daemon.removeContainers();
        await outside[Symbol.asyncDispose]();
      }
    });
  });

  test("macvlan: devices of their own on the parent's wire; a VLAN's parent is made and goes again", () =>
    removing(["gt-mac", "gt-vlan", "gt-dummy"], async () => {
      await host("ip", "link", "add", "gt-wire", "type", "bridge");
      await host("ip", "link", "set", "gt-wire", "up");
      try {
        await docker(
          "network",
          "create",
          "-d",
          "macvlan",
          "-o",
          "parent=gt-wire",
          "--subnet",
          "10.201.15.0/24",
          "gt-mac",
        );
        await sleeper(
          "one",
          "--network",
          "gt-mac",
          "--mac-address",
          "02:42:0a:c9:0f:05",
          "--ip",
          "10.201.15.5",
        );
        await sleeper("two", "--network", "gt-mac");
        assert.match(await inside("one", "ip -o link show eth0"), /02:42:0a:c9:0f:05/);
        assert.match(await inside("one", "ip route"), /default via 10\.201\.15\.1 dev eth0/);
        assert.equal(await reaches("two", "10.201.15.5"), true);
        await docker("network", "disconnect", "gt-mac", "two");
        assert.equal(await inside("two", "ls /sys/class/net"), "lo");
        await docker("network", "connect", "gt-mac", "two");
        assert.equal(await reaches("two", "10.201.15.5"), true);
        const onVlan = ["-d", "macvlan", "-o", "parent=gt-wire.50", "--subnet", "10.201.16.0/24", "gt-vlan"];
        if (await hasKind("vlan", "id", "9")) {
          await docker("network", "create", ...onVlan);
          assert.match(await host("ip", "-d", "link", "show", "gt-wire.50"), /vlan protocol 802\.1Q id 50/);
          await docker("network", "rm", "gt-vlan");
        } else await fails(/kind vlan.*not supported/i, "network", "create", ...onVlan);
        assert.doesNotMatch(await host("ip", "-o", "link"), /gt-wire\.50/);
        // With or without a parent: it is not used.
        await docker("network", "create", "-d", "macvlan", "--internal", "-o", "parent=gt-wire", "gt-dummy");
        assert.match(await host("ip", "-o", "link"), / dm-[0-9a-f]{12}:/);
        await sleeper("three", "--network", "gt-dummy");
        await sleeper("four", "--network", "gt-dummy");
        assert.doesNotMatch(await inside("three", "ip route"), /default/);
        const four = await docker(
          "inspect",
          "-f",
          '{{(index .NetworkSettings.Networks "gt-dummy").IPAddress}}',
          "four",
        );
        assert.equal(await reaches("three", four), true);
        await fails(
          /no such network device/,
          "network",
          "create",
          "-d",
          "macvlan",
          "-o",
          "parent=nowhere0",
          "gt-bad",
        );
        await fails(/macvlan mode/, "network", "create", "-d", "macvlan", "-o", "macvlan_mode=odd", "gt-bad");
      } finally {
        await suite.daemon.removeContainers();
        await suite.daemon.docker(["network", "rm", "gt-mac"]);
        await host("ip", "link", "del", "gt-wire");
      }
    }));

  test("macvlan: a parent that a network has made goes with the last network on it; passthru shares none", () =>
    removing(["gt-first", "gt-second", "gt-sole"], async () => {
      const create = (...args: string[]): string[] => ["network", "create", "-d", "macvlan", ...args];
      const id = await docker(...create("gt-first"));
      const parent = `dm-${id.slice(0, 12)}`;
      const sole = ["-o", `parent=${parent}`, "-o", "macvlan_mode=passthru", "gt-sole"];
      await fails(/cannot use mode passthru, macvlan network \w+ is already using/, ...create(...sole));
      await docker(...create("-o", `parent=${parent}`, "gt-second"));
      await docker("network", "rm", "gt-first");
      assert.match(await host("ip", "-o", "link"), new RegExp(` ${parent}:`));
      await docker("run", "--rm", "--network", "gt-second", busybox, "true");
      await docker("network", "rm", "gt-second");
      assert.doesNotMatch(await host("ip", "-o", "link"), / dm-/);
      await host("ip", "link", "add", "gt-wire", "type", "veth", "peer", "name", "gt-wire1");
      try {
        await docker(...create("-o", "parent=gt-wire", "-o", "macvlan_mode=passthru", "gt-sole"));
        await fails(
          /is already using parent interface gt-wire in mode passthru/,
          ...create("-o", "parent=gt-wire", "gt-first"),
        );
      } finally {
        await docker("network", "rm", "gt-sole");
        await host("ip", "link", "del", "gt-wire");
      }
    }));

  test("ipvlan: l2 has the parent's hardware address and a gateway, l3 a route by the device", async (t) => {
    if (!(await hasKind("ipvlan"))) {
      await fails(/ipvlan failed.*modprobe ipvlan/s, "network", "create", "-d", "ipvlan", "gt-l2");
      assert.doesNotMatch(await host("ip", "-o", "link"), /di-/);
      t.skip("this kernel has no ipvlan; that it says so was tested");
      return;
    }
    await removing(["gt-l2", "gt-l3"], async () => {
      await host("ip", "link", "add", "gt-wire2", "type", "bridge");
      await host("ip", "link", "add", "gt-wire3", "type", "bridge");
      await host("ip", "link", "set", "gt-wire2", "up");
      await host("ip", "link", "set", "gt-wire3", "up");
      try {
        await docker(
          "network",
          "create",
          "-d",
          "ipvlan",
          "-o",
          "parent=gt-wire2",
          "--subnet",
          "10.201.17.0/24",
          "gt-l2",
        );
        await sleeper("one", "--network", "gt-l2", "--ip", "10.201.17.5");
        await sleeper("two", "--network", "gt-l2");
        assert.equal(
          await inside("one", "cat /sys/class/net/eth0/address"),
          await host("cat", "/sys/class/net/gt-wire2/address"),
        );
        assert.match(await inside("one", "ip route"), /default via 10\.201\.17\.1 dev eth0/);
        assert.equal(await reaches("two", "10.201.17.5"), true);
        await docker(
          ...words(
            "network create -d ipvlan -o parent=gt-wire3 -o ipvlan_mode=l3 --subnet 10.201.18.0/24 --subnet 10.201.19.0/24 gt-l3",
          ),
        );
        await sleeper("three", "--network", "gt-l3", "--ip", "10.201.18.5");
        await sleeper("four", "--network", "gt-l3", "--ip", "10.201.19.5");
        assert.match(await inside("three", "ip route"), /^default dev eth0/m);
        assert.equal(await reaches("four", "10.201.18.5"), true);
        assert.equal(
          await docker("inspect", "-f", '{{(index .NetworkSettings.Networks "gt-l3").Gateway}}', "three"),
          "",
        );
      } finally {
        await suite.daemon.removeContainers();
        for (const name of ["gt-l2", "gt-l3"]) await suite.daemon.docker(["network", "rm", name]);
        await host("ip", "link", "del", "gt-wire2");
        await host("ip", "link", "del", "gt-wire3");
      }
    });
  });

  test("configuration networks are templates for others", () =>
    removing(["gt-real", "gt-config"], async () => {
      await docker(
        "network",
        "create",
        "--config-only",
        "--subnet",
        "10.201.20.0/24",
        "--label",
        "a=b",
        "gt-config",
      );
      assert.equal(await docker("network", "ls", "-f", "name=gt-config", "--format", "{{.Driver}}"), "null");
      await fails(/configuration only/, "run", "--rm", "--network", "gt-config", busybox, "true");
      await docker("network", "create", "--config-from", "gt-config", "gt-real");
      const [shown] = JSON.parse(await docker("network", "inspect", "gt-real")) as Record<string, unknown>[];
      assert.deepEqual(shown?.["ConfigFrom"], { Network: "gt-config" });
      assert.deepEqual(shown?.["Labels"], { a: "b" });
      assert.match(JSON.stringify(shown?.["IPAM"]), /10\.201\.20\.0\/24/);
      await fails(/is in use/, "network", "rm", "gt-config");
      await fails(/does not exist/, "network", "create", "--config-from", "nowhere", "gt-x");
      await fails(
        /not supported if the network depends/,
        "network",
        "create",
        "--config-from",
        "gt-config",
        "--subnet",
        "10.201.21.0/24",
        "gt-x",
      );
    }));
});
