/** The daemon's network flags and keys of daemon.json, as the kernel and the containers see them. */
import assert from "node:assert/strict";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { connectOutside } from "../helpers/test-host.ts";

/** Asks once, from wherever `run` runs. */
async function isServed(
  place: { readonly run: (argv: readonly string[]) => Promise<{ stdout: string }> },
  address: string,
  port: number,
): Promise<boolean> {
  return (await place.run(["busybox", "nc", "-w", "2", address, String(port)])).stdout.includes("served");
}

/** Asks until it is served: the program may be starting. */
async function served(
  from: Parameters<typeof isServed>[0],
  address: string,
  port: number,
  what = "",
): Promise<void> {
  await eventually(() => isServed(from, address, port), {
    what: `${what} ${address}:${port}`,
    timeoutMs: 60_000,
  });
}

/** A container, as a place to ask from. */
const inContainer = (daemon: TestDaemon, name: string): Parameters<typeof isServed>[0] => ({
  run: (argv) => daemon.docker(["exec", name, ...argv]),
});

/** A daemon with these flags, and `docker` calls to it. */
async function withDaemon(
  flags: readonly string[],
  work: (daemon: TestDaemon, docker: (...args: string[]) => Promise<string>) => Promise<void>,
): Promise<void> {
  await using daemon = await TestDaemon.start({ flags });
  await ensureBusybox(daemon);
  try {
    await work(daemon, (...args) => daemon.dockerOk(args));
  } finally {
    await daemon.removeContainers();
  }
}

const serve = (port: number): string[] => ["nc", "-ll", "-p", String(port), "-e", "echo", "served"];

describe("network flags of the daemon", { skip: process.env["GANTRY_TEST_ENGINE"] === "docker" }, () => {
  test("--ipv6 with subnet, gateways and --ip-masq=false on the default bridge", () =>
    withDaemon(
      [
        ..."--ipv6 --fixed-cidr-v6 fd42:17:1::/64 --default-gateway-v6 fd42:17:1::77".split(" "),
        ..."--ip-masq=false --mtu 1400".split(" "),
      ],
      async (daemon, docker) => {
        const network = JSON.parse(await docker("network", "inspect", "bridge")) as [
          {
            EnableIPv6: boolean;
            IPAM: { Config: Record<string, unknown>[] };
            Options: Record<string, string>;
          },
        ];
        assert.equal(network[0].EnableIPv6, true);
        assert.deepEqual(network[0].IPAM.Config[1], {
          Subnet: "fd42:17:1::/64",
          Gateway: "fd42:17:1::1",
          AuxiliaryAddresses: { DefaultGatewayIPv6: "fd42:17:1::77" },
        });
        assert.equal(network[0].Options["com.docker.network.bridge.enable_ip_masquerade"], "false");
        assert.equal(network[0].Options["com.docker.network.driver.mtu"], "1400");
        await docker("run", "-d", "--name", "box", "-p", "8080:80", busybox, ...serve(80));
        const inside = (...args: string[]): Promise<string> => docker("exec", "box", ...args);
        assert.match(await inside("ip", "-6", "route"), /default via fd42:17:1::77 dev eth0/);
        assert.match(await inside("ip", "addr", "show", "eth0"), /mtu 1400[\s\S]*inet6 fd42:17:1::2\/64/);
        // Another one, so that one came from the pool and one was made when it was asked for.
        for (let i = 0; i < 4; i++) await docker("run", "-d", "--name", `more${i}`, busybox, "sleep", "60");
        const given = await docker(
          "inspect",
          "-f",
          "{{.NetworkSettings.GlobalIPv6Address}}",
          "more0",
          "more1",
          "more2",
          "more3",
        );
        assert.equal(new Set(given.split("\n")).size, 4);
        assert.doesNotMatch(given, /::77$/m);
        await docker("exec", "more3", "ping", "-6", "-c", "1", "-W", "5", "fd42:17:1::2");
        await served(daemon.host, "fd42:17:1::1", 8080, "the published port answers by IPv6");
        // What leaves keeps the container's address.
        await using outside = await connectOutside(daemon.host);
        const address = await docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "box");
        const network4 = `${daemon.gateway.replace(/\.\d+$/, ".0")}/24`;
        await outside.run(["ip", "route", "replace", network4, "via", outside.hostAddress]);
        const server =
          'require("net").createServer((s) => s.end(s.remoteAddress)).listen(7000, "0.0.0.0", () => console.log("ready"))';
        const listener = outside.start([process.execPath, "-e", server]);
        try {
          await listener.waitForOutput(/ready/);
          assert.equal(await docker("exec", "box", "nc", "-w", "10", outside.address, "7000"), address);
        } finally {
          listener.process.kill("SIGKILL");
          await listener.wait();
        }
      },
    ));

  test("an IPv6 network of the machine's own range; it stays over restarts", () =>
    withDaemon(["--ipv6"], async (daemon, docker) => {
      const subnet = (): Promise<string> =>
        docker("network", "inspect", "-f", "{{(index .IPAM.Config 1).Subnet}}", "bridge");
      const first = await subnet();
      assert.match(first, /^fd[0-9a-f:]+\/64$/);
      await docker("network", "create", "--ipv6", "gt-six");
      try {
        await docker("run", "-d", "--name", "box", busybox, "sleep", "60");
        const address = await docker("inspect", "-f", "{{.NetworkSettings.GlobalIPv6Address}}", "box");
        await daemon.killHard();
        await daemon.launch();
        assert.equal(await subnet(), first);
        assert.equal(await docker("inspect", "-f", "{{.NetworkSettings.GlobalIPv6Address}}", "box"), address);
        await docker("run", "--rm", busybox, "ping", "-6", "-c", "1", "-W", "5", address);
      } finally {
        await docker("network", "rm", "gt-six");
      }
    }));

  test("keys of daemon.json: gateway, options of new networks, host-gateway, no proxy", async () => {
    const root = await mkdtemp(join(tmpdir(), "gantry-test-"));
    const file = join(root, "daemon.json");
    const network = "10.197.1";
    await writeFile(
      file,
      JSON.stringify({
        "default-gateway": `${network}.99`,
        "default-network-opts": { bridge: { "com.docker.network.driver.mtu": "1333" } },
        "default-address-pools": [
          { base: "10.199.0.0/16", size: 24 },
          { base: "fd42:199::/48", size: 64 },
        ],
        "host-gateway-ips": ["192.0.2.9", "2001:db8::9"],
        "userland-proxy": false,
        "allow-direct-routing": true,
        "bridge-accept-fwmark": "0x2/0x3",
        "network-control-plane-mtu": 1500,
        "ip-forward-no-drop": true,
      }),
    );
    await using daemon = await TestDaemon.start({
      root,
      bip: `${network}.1/24`,
      flags: ["--config-file", file],
    });
    await ensureBusybox(daemon);
    const docker = (...args: string[]): Promise<string> => daemon.dockerOk(args);
    try {
      const routes = await docker(
        "run",
        "--rm",
        "--add-host",
        "up:host-gateway",
        busybox,
        "sh",
        "-c",
        "ip route; cat /etc/hosts",
      );
      assert.match(routes, new RegExp(`default via ${network.replaceAll(".", "\\.")}\\.99 dev eth0`));
      assert.match(routes, /^192\.0\.2\.9\tup$/m);
      assert.match(routes, /^2001:db8::9\tup$/m);
      await docker("network", "create", "--ipv6", "gt-opts");
      await docker("network", "create", "-o", "com.docker.network.driver.mtu=1444", "gt-own");
      const told = await docker(
        "network",
        "inspect",
        "-f",
        "{{json .Options}} {{json .IPAM.Config}}",
        "gt-opts",
        "gt-own",
      );
      assert.match(told, /1333.*10\.199\.0\.0\/24.*fd42:199::\/64/);
      assert.match(told, /1444.*10\.199\.1\.0\/24/);
      // A network that takes its configuration from another one has its options, and cannot be given any.
      await docker("network", "create", "--config-only", "--subnet", "10.199.9.0/24", "gt-shape");
      await docker("network", "create", "--config-from", "gt-shape", "gt-shaped");
      assert.match(await docker("network", "inspect", "-f", "{{json .Options}}", "gt-shaped"), /1333/);
      await docker("network", "rm", "gt-shaped", "gt-shape");
      const mtu = await docker("run", "--rm", "--network", "gt-opts", busybox, "ip", "link", "show", "eth0");
      assert.match(mtu, /mtu 1333/);
      // Nobody passes IPv6 on: such a port is not published at all for a container that has IPv4 alone.
      await docker(
        "run",
        "-d",
        "--name",
        "box",
        "--network",
        "gt-own",
        "-p",
        "8081:80",
        busybox,
        ...serve(80),
      );
      assert.equal(await docker("port", "box"), "80/tcp -> 0.0.0.0:8081");
      const address = await docker(
        "inspect",
        "-f",
        "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
        "box",
      );
      await using outside = await connectOutside(daemon.host);
      await outside.run(["ip", "route", "add", "10.199.0.0/16", "via", outside.hostAddress]);
      await served(outside, address, 80, "the published port at the container's own address");
      await docker("exec", "-d", "box", ...serve(81));
      await served(inContainer(daemon, "box"), "127.0.0.1", 81);
      assert.equal(await isServed(outside, address, 81), false, "a port that is not published");
      for (const command of [
        "add table inet marks",
        "add chain inet marks c { type filter hook prerouting priority mangle; }",
        "add rule inet marks c tcp dport 81 meta mark set 6",
      ])
        assert.equal((await daemon.host.run(["nft", command])).code, 0, command);
      await served(outside, address, 81, "a packet with the mark");
      await daemon.host.run(["nft", "delete table inet marks"]);
    } finally {
      await daemon.removeContainers();
      for (const name of ["gt-opts", "gt-own"]) await daemon.docker(["network", "rm", name]);
    }
  });

  test("--ip6tables=false leaves IPv6 alone; values that cannot be are refused", async () => {
    await withDaemon(
      ["--ip6tables=false", "--ipv6", "--fixed-cidr-v6", "fd42:17:2::/64"],
      async (daemon, docker) => {
        const table = (await daemon.host.run(["nft", "list", "ruleset"])).stdout;
        assert.equal(table.match(/meta nfproto ipv6 accept/g)?.length, 5);
        await docker("run", "-d", "--name", "box", "-p", "8080:80", busybox, ...serve(80));
        await served(daemon.host, "fd42:17:2::1", 8080, "passed on in the kernel's place");
      },
    );
    for (const [flags, words] of [
      [["--default-gateway", "10.1.2.3"], /default gateway ip must be part of the network/],
      [["--default-gateway-v6", "1.2.3.4"], /1\.2\.3\.4 is not an ip address/],
      [["--ipv6", "--bip6", "fd42::/64"], /--bip6 fd42::\/64 is not the address of a host/],
      [
        ["--ipv6", "--bip6", "fd42::1/64", "--fixed-cidr-v6", "fd43::/80"],
        /is not within the bridge's fd42::\/64/,
      ],
      [["--bridge-accept-fwmark", "x"], /invalid firewall mark: "x"/],
      [["--default-network-opt", "bridge=mtu"], /invalid default network option "bridge=mtu"/],
      [["--host-gateway-ip", "1.1.1.1", "--host-gateway-ip", "2.2.2.2"], /only one IPv4 and one IPv6/],
    ] as const)
      await assert.rejects(TestDaemon.start({ flags }), words, flags.join(" "));
  });

  test("--iptables=false needs no libnftables: ports are passed on, names are answered", async () => {
    await using daemon = await TestDaemon.prepare({ flags: ["--iptables=false"] });
    const hide = "for file in /usr/lib/*/libnftables.so.1; do mount --bind /dev/null $file; done";
    await daemon.host.run(["sh", "-c", hide]);
    await daemon.launch();
    await ensureBusybox(daemon);
    const docker = (...args: string[]): Promise<string> => daemon.dockerOk(args);
    try {
      await docker("network", "create", "gt-plain");
      const flags = ["--network", "gt-plain", "-p", "127.0.0.1:8080:80"];
      await docker("run", "-d", "--name", "box", ...flags, busybox, ...serve(80));
      await served(daemon.host, "127.0.0.1", 8080);
      const answer = await docker("run", "--rm", "--network", "gt-plain", busybox, "nslookup", "box.");
      assert.match(answer, /Name:\s+box/);
      await daemon.killHard();
      await daemon.launch();
      assert.match(await docker("exec", "box", "nslookup", "box."), /Name:\s+box/);
    } finally {
      await daemon.removeContainers();
      await daemon.docker(["network", "rm", "gt-plain"]);
    }
    await daemon.stop();
    await assert.rejects(TestDaemon.start({ host: daemon.host }), /install the package libnftables1/);
  });

  test("--icc=false: a link opens the exposed ports of the other, and nothing else", () =>
    withDaemon(["--icc=false"], async (daemon, docker) => {
      const expose = ["--expose", "80", "--expose", "53/udp"];
      await docker("run", "-d", "--name", "db", ...expose, busybox, ...serve(80));
      await docker("exec", "-d", "db", ...serve(81));
      await docker("run", "-d", "--name", "other", busybox, "sleep", "300");
      await docker("run", "-d", "--name", "web", "--link", "db", busybox, ...serve(80));
      const addressOf = (name: string): Promise<string> =>
        docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", name);
      const web = inContainer(daemon, "web");
      const db = inContainer(daemon, "db");
      const other = inContainer(daemon, "other");
      for (const port of [80, 81]) await served(db, "127.0.0.1", port);
      await served(web, "127.0.0.1", 80);
      await served(web, await addressOf("db"), 80, "the linked port");
      assert.equal(await isServed(web, await addressOf("db"), 81), false, "a port that is not exposed");
      assert.equal(await isServed(other, await addressOf("db"), 80), false, "a container without a link");
      assert.equal(await isServed(db, await addressOf("web"), 80), false, "the other direction");
      // A flushed table, another daemon and another address: the way is there again.
      await daemon.killHard();
      await daemon.host.run(["nft", "flush", "ruleset"]);
      await daemon.launch();
      await served(web, await addressOf("db"), 80);
      await docker("stop", "-t", "0", "db");
      const links = async (): Promise<string> =>
        (await daemon.host.run(["nft", "list", "set", "inet", "gantry", "links4"])).stdout;
      assert.doesNotMatch(await links(), /elements/);
      await docker("run", "-d", "--name", "taker", busybox, "sleep", "300");
      await docker("start", "db");
      await served(web, await addressOf("db"), 80);
      await docker("rm", "--link", "/web/db");
      assert.doesNotMatch(await links(), /elements/);
      assert.equal(await isServed(web, await addressOf("db"), 80), false);
    }));
});
