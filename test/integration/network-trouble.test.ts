/** Networks in trouble: pools run dry, subnets that overlap, many at once, kills in the middle, and wires by hand. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { dockerFails, removingNetworks } from "../helpers/networks.ts";
import { eventually, type RunningProgram } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

const words = (line: string): string[] => line.split(" ");

describe("networks in trouble", () => {
  const suite = useDaemon({
    flags: [
      "--default-address-pool",
      "base=10.201.64.0/22,size=24",
      "--default-address-pool",
      "base=10.201.80.0/24,size=25",
    ],
  });
  const docker = (line: string): Promise<string> => suite.daemon.dockerOk(words(line), { timeoutMs: 60_000 });
  const inside = (name: string, script: string): Promise<string> =>
    suite.daemon.dockerOk(["exec", name, "sh", "-c", script]);
  const host = async (line: string): Promise<string> => (await suite.daemon.host.run(words(line))).stdout;
  const sleeper = (name: string, options = ""): Promise<string> =>
    docker(`run -d --name ${name}${options === "" ? "" : ` ${options}`} ${busybox} sleep 300`);
  const removing = (names: readonly string[], work: () => Promise<void>): Promise<void> =>
    removingNetworks(suite.daemon, names, work);
  const fails = (expected: RegExp, line: string): Promise<void> =>
    dockerFails(suite.daemon, words(line), expected);
  const subnetOf = (network: string): Promise<string> =>
    suite.daemon.dockerOk(["network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", network]);
  const addresses = async (network: string): Promise<string[]> =>
    (
      await suite.daemon.dockerOk([
        "network",
        "inspect",
        "-f",
        "{{range .Containers}}{{.IPv4Address}} {{end}}",
        network,
      ])
    )
      .split(" ")
      .filter((text) => text !== "");

  test("default address pools are used in their order until none is left", async () => {
    const names = Array.from({ length: 7 }, (_, i) => `gt-pool${i}`);
    await removing(names, async () => {
      const found: string[] = [];
      for (const name of names.slice(0, 6)) {
        await docker(`network create ${name}`);
        found.push(await subnetOf(name));
      }
      assert.deepEqual(found, [
        "10.201.64.0/24",
        "10.201.65.0/24",
        "10.201.66.0/24",
        "10.201.67.0/24",
        "10.201.80.0/25",
        "10.201.80.128/25",
      ]);
      await fails(/all predefined address pools have been fully subnetted/, "network create gt-pool6");
      // One that is given back is there for the next.
      await docker("network rm gt-pool2");
      await docker("network create gt-pool6");
      assert.equal(await subnetOf("gt-pool6"), "10.201.66.0/24");
    });
  });

  test("overlapping subnets and repeated names are refused, and nothing is left", () =>
    removing(["gt-one"], async () => {
      await docker("network create --subnet 10.201.90.0/24 gt-one");
      const before = await host("ip -o link");
      await fails(
        /Pool overlaps with other one on this address space/,
        "network create --subnet 10.201.90.128/25 gt-two",
      );
      await fails(
        /Pool overlaps with other one on this address space/,
        "network create --subnet 10.201.0.0/16 gt-two",
      );
      await fails(/network with name gt-one already exists/, "network create gt-one");
      await fails(
        /invalid subnet 10.201.91.1\/24: it should be 10.201.91.0\/24/,
        "network create --subnet 10.201.91.1/24 gt-two",
      );
      await fails(
        /no matching subnet for gateway/,
        "network create --subnet 10.201.91.0/24 --gateway 10.9.9.9 gt-two",
      );
      assert.equal(await host("ip -o link"), before);
      assert.equal(await docker("network ls -q --filter type=custom --format {{.Name}}"), "gt-one");
    }));

  test("a network without a free address says so, and gives one again when it is free", () =>
    removing(["gt-small"], async () => {
      await docker("network create --subnet 10.201.92.0/29 --ip-range 10.201.92.4/30 gt-small");
      for (const name of ["one", "two", "three"]) await sleeper(name, "--network gt-small");
      await fails(
        /no available IPv4 addresses on this network's address pools: gt-small/,
        `run --rm --network gt-small ${busybox} true`,
      );
      await sleeper("apart");
      await fails(/no available IPv4 addresses/, "network connect gt-small apart");
      assert.equal(await inside("apart", "ls /sys/class/net | grep -c eth"), "1");
      await docker("rm -f two");
      await docker("network connect gt-small apart");
      assert.match(await inside("apart", "ip -4 -o addr show eth1"), /10\.201\.92\.[456]\/29/);
    }));

  test("50 connects at once: every container once, every address once", () =>
    removing(["gt-many"], async () => {
      await docker("network create --subnet 10.201.93.0/24 gt-many");
      const names = Array.from({ length: 10 }, (_, i) => `many${i}`);
      for (const name of names) await sleeper(name, "--network none");
      for (const name of names) await docker(`network disconnect none ${name}`);
      const network = suite.daemon.client.getNetwork("gt-many");
      const attempts = Array.from({ length: 50 }, (_, i) =>
        network.connect({ Container: names[i % names.length]! }),
      );
      const outcomes = await Promise.allSettled(attempts);
      assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, names.length);
      for (const outcome of outcomes)
        if (outcome.status === "rejected")
          assert.match(String(outcome.reason), /already exists in network gt-many/);
      const given = await addresses("gt-many");
      assert.equal(new Set(given).size, names.length);
      const seen: string[] = [];
      for (const name of names) seen.push(await inside(name, "ip -4 -o addr show eth0 | awk '{print $4}'"));
      assert.deepEqual(seen.toSorted(), given.toSorted());
    }));

  test("a container that is removed while it is being connected leaves nothing", () =>
    removing(["gt-race"], async () => {
      await docker("network create --subnet 10.201.94.0/24 gt-race");
      for (let round = 0; round < 8; round++) {
        await sleeper("gone");
        const network = suite.daemon.client.getNetwork("gt-race");
        const connecting = network.connect({ Container: "gone" });
        const removing_ = suite.daemon.client.getContainer("gone").remove({ force: true });
        const [connected, removed] = await Promise.allSettled([connecting, removing_]);
        assert.equal(removed.status, "fulfilled");
        if (connected.status === "rejected")
          assert.match(String(connected.reason), /No such container|does not run|marked for removal/);
      }
      assert.deepEqual(await addresses("gt-race"), []);
      // No device of a container that is gone stays on its bridge.
      const bridge = `br-${(await suite.daemon.dockerOk(["network", "inspect", "-f", "{{.Id}}", "gt-race"])).slice(0, 12)}`;
      await eventually(async () => (await host(`ip -o link show master ${bridge}`)) === "", {
        what: "an empty bridge",
      });
      await docker("network rm gt-race");
    }));

  test("a network and its last container go side by side", () =>
    removing(["gt-last"], async () => {
      for (let round = 0; round < 5; round++) {
        await docker("network create --subnet 10.201.95.0/24 gt-last");
        await sleeper("last", "--network gt-last");
        const starting = suite.daemon.docker(words(`run --rm --network gt-last ${busybox} true`));
        await docker("rm -f last");
        await starting;
        await eventually(async () => (await suite.daemon.docker(words("network rm gt-last"))).code === 0, {
          what: "the network to be free",
        });
      }
    }));

  test("networks, endpoints and bridges are taken over after kill -9, and an address is not given twice", () =>
    removing(["gt-over", "gt-other"], async () => {
      await docker("network create --subnet 10.201.96.0/29 gt-over");
      await docker("network create --subnet 10.201.97.0/24 gt-other");
      for (const name of ["one", "two", "three"]) await sleeper(name, "--network gt-over");
      await docker("network connect gt-other one");
      const before = [...(await addresses("gt-over")), ...(await addresses("gt-other"))];
      await suite.daemon.killHard();
      // What an administrator or a crash does meanwhile.
      await host("nft flush ruleset");
      const [bridge = ""] = /br-[0-9a-f]{12}/.exec(await host("ip -o link show type bridge")) ?? [];
      await host(`ip link del ${bridge}`);
      await suite.daemon.launch();
      assert.deepEqual(
        [...(await addresses("gt-over")), ...(await addresses("gt-other"))].toSorted(),
        before.toSorted(),
      );
      const ping = async (from: string, to: string): Promise<boolean> =>
        (await suite.daemon.docker(["exec", from, "ping", "-c", "1", "-W", "2", to])).code === 0;
      assert.equal(await ping("one", "10.201.96.3"), true);
      assert.equal(await ping("two", "10.201.96.2"), true);
      assert.equal(await ping("two", "10.201.97.2"), false);
      for (const name of ["four", "five"]) await sleeper(name, "--network gt-over");
      await fails(/no available IPv4 addresses/, `run --rm --network gt-over ${busybox} true`);
      assert.equal(new Set(await addresses("gt-over")).size, 5);
      await docker("network disconnect gt-other one");
      assert.equal(await inside("one", "ls /sys/class/net | grep -c eth"), "1");
    }));

  test("none mode can be wired by hand: a veth pair, a name for ip netns, and both ends see the same packets", async () => {
    for (const name of ["left", "right"]) await sleeper(name, "--network none");
    // The directory of names is the whole machine's.
    const netns = { left: `gantry-test-left-${process.pid}`, right: `gantry-test-right-${process.pid}` };
    const { left, right } = netns;
    const script = `set -e
      mkdir -p /var/run/netns
      ln -sf /proc/$1/ns/net /var/run/netns/${left}
      ln -sf /proc/$2/ns/net /var/run/netns/${right}
      ip link add by-hand-l type veth peer name by-hand-r
      ip link set by-hand-l netns ${left}; ip link set by-hand-r netns ${right}
      ip netns exec ${left} ip addr add 10.1.1.1/32 dev by-hand-l
      ip netns exec ${left} ip link set by-hand-l up
      ip netns exec ${left} ip route add 10.1.1.2/32 dev by-hand-l
      ip netns exec ${right} ip addr add 10.1.1.2/32 dev by-hand-r
      ip netns exec ${right} ip link set by-hand-r up
      ip netns exec ${right} ip route add 10.1.1.1/32 dev by-hand-r`;
    const pids = await docker("inspect -f {{.State.Pid}} left right");
    const made = await suite.daemon.host.run(["sh", "-c", script, "by-hand", ...pids.split("\n")]);
    assert.equal(made.code, 0, made.stderr);
    try {
      const capture = (side: "left" | "right"): RunningProgram =>
        suite.daemon.host.start([
          ...words(`ip netns exec ${netns[side]} ${process.execPath} --no-warnings`),
          join(import.meta.dirname, "../helpers/capture.ts"),
          `by-hand-${side.charAt(0)}`,
          "6",
        ]);
      const captures = [capture("left"), capture("right")];
      for (const each of captures) await each.waitForOutput(/ready/, 60_000);
      assert.match(await inside("left", "ping -c 3 -i 0.2 -W 10 10.1.1.2"), /3 packets received/);
      const seen: string[][] = [];
      for (const each of captures) seen.push((await each.wait(60_000)).stdout.trim().split("\n").slice(1));
      const [atLeft = [], atRight = []] = seen;
      const asked = [0, 1, 2].map((n) => `10.1.1.1 > 10.1.1.2 request ${n}`);
      const answered = [0, 1, 2].map((n) => `10.1.1.2 > 10.1.1.1 reply ${n}`);
      // Both ends of the cable see the same packets, each once.
      assert.deepEqual(atLeft.toSorted(), [...asked, ...answered].toSorted());
      assert.deepEqual(atRight.toSorted(), atLeft.toSorted());
    } finally {
      await suite.daemon.host.run(["rm", "-f", `/var/run/netns/${left}`, `/var/run/netns/${right}`]);
    }
  });
});
