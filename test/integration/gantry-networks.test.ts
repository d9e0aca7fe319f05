/** Networks and ports by gantry's own command line: outputs, errors and exit codes as Docker has them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { flavour } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { removingNetworks } from "../helpers/networks.ts";
import { useDaemon } from "../helpers/suite.ts";

const words = (line: string): string[] => line.split(" ");
const settings = "Error response from daemon: invalid endpoint settings:\n";
const userOnly = "user specified IP address is supported on user defined networks only";
const noSubnets =
  "user specified IP address is supported only when connecting to networks with user configured subnets";
const noAlias = "network-scoped alias is supported only for containers in user defined networks";
const shared =
  "Error response from daemon: container sharing network namespace with another container or host cannot be connected to any other network";

describe("networks by gantry's command line", { skip: flavour === "docker" }, () => {
  const suite = useDaemon();
  const gantry = async (line: string): Promise<string> => {
    const { code, stdout, stderr } = await suite.daemon.gantry(words(line));
    assert.equal(code, 0, `gantry ${line}: ${stderr}`);
    return stdout.trimEnd();
  };
  /** What it prints to standard error, which the exit code goes with. */
  const fails = async (line: string, code: number, expected: string): Promise<void> => {
    const result = await suite.daemon.gantry(words(line));
    assert.equal(result.code, code, `gantry ${line}: ${result.stdout}${result.stderr}`);
    const said = result.stderr.replace(/\n\nRun 'gantry \w+ --help' for more information/, "").trimEnd();
    assert.equal(said.replaceAll(/\b[0-9a-f]{64}\b/g, "ID"), expected, `gantry ${line}`);
  };
  const removing = (names: readonly string[], work: () => Promise<void>): Promise<void> =>
    removingNetworks(suite.daemon, names, work);
  const sleeper = (options: string): Promise<string> => gantry(`run -d ${options} ${busybox} sleep 300`);

  test("addresses and aliases that a network cannot give are told all at once, at create and at connect", () =>
    removing(["gt-own", "gt-auto"], async () => {
      await gantry("network create --subnet 10.201.60.0/24 gt-own");
      await gantry("network create gt-auto");
      const create = `invalid config for network`;
      const out = (address: string): string =>
        `no configured subnet or ip-range contain the IP address ${address}`;
      const refused: readonly (readonly [options: string, network: string, ...problems: string[]])[] = [
        ["--ip 10.9.9.9", "bridge", userOnly, out("10.9.9.9")],
        ["--network host --ip 10.9.9.9", "host", userOnly, noSubnets],
        ["--network container:xx --ip 10.9.9.9", "container:xx", userOnly],
        ["--network gt-own --ip 10.9.9.9", "gt-own", out("10.9.9.9")],
        ["--network gt-own --ip abc", "gt-own", "invalid IPv4 address: abc", out("abc")],
        ["--network gt-own --ip6 fd00::9", "gt-own", noSubnets],
        ["--network gt-own --link-local-ip abc", "gt-own", "invalid link-local IP address: abc"],
        ["--network name=gt-auto,ip=172.18.0.9", "gt-auto", noSubnets],
      ];
      const listed = (problems: readonly string[]): string =>
        problems.length === 1 ? problems[0]! : problems.map((problem) => `* ${problem}`).join("\n");
      await sleeper("--name xx");
      for (const [options, network, ...problems] of refused) {
        const line = `${options} ${busybox} true`;
        const said = `Error response from daemon: ${create} ${network}: invalid endpoint settings:\n${listed(problems)}`;
        await fails(`run --rm ${line}`, 125, `gantry: ${said}`);
        await fails(`create ${line}`, 1, said);
      }
      await sleeper("--name running --network gt-own");
      await gantry(`create --name made --network gt-own ${busybox} true`);
      for (const container of ["running", "made"]) {
        const connect = (options: string, ...problems: string[]): Promise<void> =>
          fails(`network connect ${options} ${container}`, 1, settings + listed(problems));
        await connect("--ip 172.18.0.9 gt-auto", noSubnets);
        await connect(
          "--ip abc --ip6 def gt-auto",
          "invalid IPv4 address: abc",
          "invalid IPv6 address: def",
          noSubnets,
          noSubnets,
        );
        await connect("--alias a bridge", noAlias);
      }
      assert.equal(await gantry("ps -a --format {{.Names}}"), "made\nrunning\nxx");
      await fails(
        `run --rm --network gt-own --ip 10.201.60.1 ${busybox} true`,
        125,
        "gantry: Error response from daemon: Address already in use: 10.201.60.1. it is network gt-own's own, its broadcast address, its gateway, or kept by --aux-address",
      );
    }));

  test("what cannot be connected or disconnected is said in Docker's words", () =>
    removing(["gt-one"], async () => {
      await gantry("network create gt-one");
      await sleeper("--name plain");
      await sleeper("--name hosted --network host");
      await sleeper("--name guest --network container:plain");
      for (const name of ["hosted", "guest"]) {
        await fails(`network connect gt-one ${name}`, 1, shared);
        const missing = "Error response from daemon: container ID is not connected to network gt-one";
        await fails(`network disconnect gt-one ${name}`, 1, missing);
      }
      await fails(
        "network disconnect host hosted",
        1,
        "Error response from daemon: container cannot be disconnected from host network or connected to host network",
      );
      await fails(
        "network disconnect -f gt-one nobody",
        1,
        "Error response from daemon: endpoint nobody not found",
      );
      await fails(
        "network disconnect gt-one nobody",
        1,
        "Error response from daemon: No such container: nobody",
      );
      for (const [mode, what] of [
        ["host", "host type networking"],
        ["container:plain", "container type network"],
      ])
        await fails(
          `run --rm --network ${mode} --link plain ${busybox} true`,
          125,
          `gantry: Error response from daemon: conflicting options: ${what} can't be used with links. This would result in undefined behavior`,
        );
    }));

  test("networks are listed with their numbers in order, and their moment", () =>
    removing(["gt-2", "gt-10"], async () => {
      for (const name of ["gt-10", "gt-2"]) await gantry(`network create ${name}`);
      const names = (await gantry("network ls --format {{.Name}}")).split("\n");
      assert.deepEqual(names, ["bridge", "gt-2", "gt-10", "host", "none"]);
      const listed = await suite.daemon.gantry([
        "network",
        "ls",
        "--format",
        "{{.CreatedAt}}",
        "-f",
        "name=gt-2",
      ]);
      assert.match(listed.stdout, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \+0000 UTC\n$/);
      const [date = "", time = ""] = listed.stdout.split(" ");
      const created = await gantry("network inspect -f {{.Created}} gt-2");
      assert.equal(created.replace(/0*Z$/, ""), `${date}T${time}`);
      const fields = Object.keys((JSON.parse(await gantry("network inspect gt-2")) as [object])[0]);
      assert.deepEqual(fields.slice(-3), ["Containers", "Options", "Labels"]);
      await fails(
        "network create --subnet bogus gt-bad",
        1,
        "Error response from daemon: invalid network config:\ninvalid subnet bogus: invalid CIDR block notation",
      );
      await fails(
        "network create -o com.docker.network.driver.mtu=abc gt-bad",
        1,
        'Error response from daemon: failed to parse com.docker.network.driver.mtu value: abc (strconv.Atoi: parsing "abc": invalid syntax)',
      );
    }));

  test("a template has a container's address also beside its networks", async () => {
    await sleeper("--name here");
    const address = await gantry("inspect -f {{.NetworkSettings.IPAddress}} here");
    assert.equal(address, await gantry("inspect -f {{.NetworkSettings.Networks.bridge.IPAddress}} here"));
    assert.match(address, /^\d+(\.\d+){3}$/);
  });

  test("ports: IPv4 before IPv6, and what is not published", async () => {
    await sleeper("--name web -p 8790:80 -p 8791:9");
    assert.equal(
      await gantry("port web"),
      "9/tcp -> 0.0.0.0:8791\n9/tcp -> [::]:8791\n80/tcp -> 0.0.0.0:8790\n80/tcp -> [::]:8790",
    );
    await fails("port web 81", 1, "Error: No public port '81' published for web");
    await fails("port web 80/udp", 1, "Error: No public port '80/udp' published for web");
    await fails("port web x", 1, 'Error: invalid port (x): strconv.ParseUint: parsing "x": invalid syntax');
    const second = await suite.daemon.gantry(words(`run -d --name late -p 8790:80 ${busybox} true`));
    assert.equal(second.code, 125);
    assert.match(second.stderr, /Bind for 0\.0\.0\.0:8790 failed: port is already allocated/);
    assert.equal(
      second.stdout.trimEnd(),
      await gantry("inspect -f {{.Id}} late"),
      "what a script has to remove",
    );
  });

  test("a device's settings come by --network", async () => {
    const option = "driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1";
    const line = `run --rm --network name=bridge,${option} ${busybox} cat /proc/sys/net/ipv4/conf/eth0/log_martians`;
    assert.equal(await gantry(line), "1");
    assert.equal(await suite.daemon.dockerOk(words(line)), "1");
  });
});
