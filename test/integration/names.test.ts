/** Names inside containers: the name server on networks of users, and the files that programs read. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import type { RunningProgram } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

interface DnsAnswer {
  readonly code: number;
  readonly truncated: boolean;
  readonly answers: readonly { type: string; name: string; ttl: number; data: string }[];
}

const helper = (name: string): string => join(import.meta.dirname, "..", "helpers", name);
async function end(program: RunningProgram): Promise<void> {
  program.process.kill("SIGTERM");
  await program.wait();
}
const NXDOMAIN = 3;
const SERVFAIL = 2;

describe("names", () => {
  const suite = useDaemon();
  const directory = mkdtempSync(join(tmpdir(), "gantry-names-"));
  const hostResolvConf = join(directory, "resolv.conf");
  let hostServer: RunningProgram;
  const ok = (...args: string[]): Promise<string> => suite.daemon.dockerOk(args);

  before(async () => {
    const { host } = suite.daemon;
    // The host's own resolver listens on a loopback address, as systemd-resolved's stub does.
    hostServer = host.start([process.execPath, helper("dns-server.ts"), "127.0.0.54", "host"]);
    await hostServer.waitForOutput(/listening/);
    writeFileSync(hostResolvConf, "nameserver 127.0.0.54\nsearch corp.test\noptions edns0\n");
    await host.run(["mount", "--bind", hostResolvConf, "/etc/resolv.conf"]);
  });
  after(async () => {
    await suite.daemon.host.run(["umount", "/etc/resolv.conf"]);
    await end(hostServer);
    rmSync(directory, { recursive: true });
  });

  async function dns(
    container: string,
    type: string,
    name: string,
    options: { protocol?: "udp" | "tcp"; bytes?: number } = {},
  ): Promise<DnsAnswer> {
    const pid = await ok("inspect", "-f", "{{.State.Pid}}", container);
    const { protocol = "udp", bytes } = options;
    const asked = await suite.daemon.host.run([
      "nsenter",
      "-t",
      pid,
      "-n",
      "--",
      process.execPath,
      helper("dns-ask.ts"),
      protocol,
      "127.0.0.11",
      type,
      name,
      ...(bytes === undefined ? [] : [String(bytes)]),
    ]);
    return JSON.parse(asked.stdout) as DnsAnswer;
  }
  const data = async (container: string, type: string, name: string): Promise<string[]> =>
    (await dns(container, type, name)).answers.map((answer) => answer.data).toSorted();
  /** A test with containers and networks of its own, all of which go at its end. */
  const scene = (name: string, body: () => Promise<void>): void => {
    test(name, async () => {
      try {
        await body();
      } finally {
        await suite.daemon.removeContainers();
        await ok("network", "prune", "-f");
      }
    });
  };
  const run = (name: string, ...flags: string[]): Promise<string> =>
    ok("run", "-d", "--name", name, ...flags, busybox, "sleep", "600");
  const address = (name: string, network: string): Promise<string> =>
    ok("inspect", "-f", `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, name);

  scene("name, alias, short id and hostname are found by UDP and TCP, forwards and back", async () => {
    await ok("network", "create", "gt-nam-a");
    const id = await run("web", "--network", "gt-nam-a", "--network-alias", "shop", "--hostname", "front");
    await run("client", "--network", "gt-nam-a");
    const ip = await address("web", "gt-nam-a");
    for (const name of ["web", "WEB", "shop", id.slice(0, 12), "front", "web.gt-nam-a"]) {
      assert.deepEqual(await data("client", "A", name), [ip], name);
      assert.equal((await dns("client", "A", name)).answers[0]?.ttl, 600);
    }
    assert.deepEqual((await dns("client", "A", "web", { protocol: "tcp" })).answers[0]?.data, ip);
    // The program's own resolver, which reads the container's files.
    assert.match(
      await ok("exec", "client", "nslookup", "web."),
      new RegExp(`Server:\\s+127.0.0.11[^]*Address:? *${ip}`),
    );
    assert.equal(
      await ok("exec", "client", "cat", "/etc/resolv.conf"),
      "nameserver 127.0.0.11\nsearch corp.test\noptions edns0 ndots:0",
    );
    const back = `${ip.split(".").toReversed().join(".")}.in-addr.arpa`;
    assert.deepEqual(await data("client", "PTR", back), ["web.gt-nam-a"]);
    // A name that is known has nothing but addresses: no error, no answer.
    for (const type of ["AAAA", "MX", "TXT"]) {
      const nothing = await dns("client", type, "web");
      assert.deepEqual([nothing.code, nothing.answers], [0, []], type);
    }
    assert.equal((await dns("client", "A", "nobody")).code, NXDOMAIN);
    await ok("rename", "web", "store");
    assert.deepEqual(await data("client", "A", "store"), [ip]);
    assert.equal((await dns("client", "A", "web")).code, NXDOMAIN);
  });

  scene("a container finds itself from the start, and nobody who has gone", async () => {
    await ok("network", "create", "gt-nam-a");
    assert.match(
      await ok("run", "--rm", "--name", "self", "--network", "gt-nam-a", busybox, "nslookup", "self."),
      /Name:\s+self/,
    );
    await run("client", "--network", "gt-nam-a");
    assert.equal((await dns("client", "A", "self")).code, NXDOMAIN);
  });

  scene(
    "an alias of several is answered with all of them, in changing order; too many for a datagram by TCP",
    async () => {
      await ok("network", "create", "gt-nam-a");
      const names = ["one", "two", "three"];
      for (const name of names) await run(name, "--network", "gt-nam-a", "--network-alias", "all");
      const expected = (await Promise.all(names.map((name) => address(name, "gt-nam-a")))).toSorted();
      const first = new Set<string>();
      for (let i = 0; i < 60 && first.size < 3; i++) {
        const { answers } = await dns("one", "A", "all");
        assert.deepEqual(answers.map((answer) => answer.data).toSorted(), expected);
        first.add(answers[0]!.data);
      }
      assert.equal(first.size, 3);
    },
  );

  scene("names end where networks end; links are names that one container alone sees", async () => {
    await ok("network", "create", "gt-nam-a");
    await ok("network", "create", "--ipv6", "--subnet", "fd00:6e61:6d::/64", "gt-nam-b");
    await run("db", "--network", "gt-nam-b", "--network-alias", "sql");
    await run("web", "--network", "gt-nam-a", "--link", "db:store");
    assert.equal((await dns("web", "A", "db")).code, NXDOMAIN);
    assert.equal((await dns("web", "A", "store")).code, NXDOMAIN);
    await ok("network", "connect", "--link", "db:store", "gt-nam-b", "web");
    for (const name of ["db", "sql", "store"])
      assert.deepEqual(await data("web", "A", name), [await address("db", "gt-nam-b")]);
    assert.equal((await dns("db", "A", "store")).code, NXDOMAIN);
    const six = await ok(
      "inspect",
      "-f",
      '{{(index .NetworkSettings.Networks "gt-nam-b").GlobalIPv6Address}}',
      "db",
    );
    assert.deepEqual(await data("web", "AAAA", "db"), [six]);
    await ok("network", "disconnect", "gt-nam-b", "web");
    assert.equal((await dns("web", "A", "db")).code, NXDOMAIN);
  });

  scene("everything else goes to the host's servers, those on its loopback too", async () => {
    await ok("network", "create", "gt-nam-a");
    await run("client", "--network", "gt-nam-a");
    assert.deepEqual(await data("client", "A", "example.test"), ["192.0.2.1"]);
    assert.deepEqual(await data("client", "TXT", "example.test"), ["host udp"]);
    assert.deepEqual(
      (await dns("client", "TXT", "example.test", { protocol: "tcp" })).answers[0]?.data,
      "host tcp",
    );
    assert.equal((await dns("client", "TXT", "big.example.test")).truncated, true);
    assert.equal(
      (await dns("client", "TXT", "big.example.test", { protocol: "tcp" })).answers[0]?.data.length,
      8 * 250 + 7,
    );
    assert.equal((await dns("client", "SRV", "_ldap._tcp.example.test")).answers.length, 1);
    assert.equal((await dns("client", "A", "nobody.example.test")).code, NXDOMAIN);
    assert.equal((await dns("client", "PTR", "1.2.0.192.in-addr.arpa")).code, NXDOMAIN);
    assert.match(await ok("exec", "client", "nslookup", "example.test."), /192\.0\.2\.1/);
  });

  scene(
    "--dns servers are asked from where the container is, one after the other; nothing leaves an internal network",
    async () => {
      await ok("network", "create", "gt-nam-a");
      await run("server", "--network", "gt-nam-a");
      const pid = await ok("inspect", "-f", "{{.State.Pid}}", "server");
      const serverIp = await address("server", "gt-nam-a");
      const own = suite.daemon.host.start([
        "nsenter",
        "-t",
        pid,
        "-n",
        "--",
        process.execPath,
        helper("dns-server.ts"),
        serverIp,
        "own",
      ]);
      try {
        await own.waitForOutput(/listening/);
        // Nobody listens at the first one.
        await run(
          "client",
          "--network",
          "gt-nam-a",
          "--dns",
          await ok("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "gt-nam-a"),
          "--dns",
          serverIp,
          "--dns-search",
          "lab.test",
          "--dns-option",
          "ndots:2",
          "--dns-option",
          "timeout:3",
        );
        assert.deepEqual(await data("client", "TXT", "example.test"), ["own udp"]);
        assert.equal(
          (await dns("client", "TXT", "example.test", { protocol: "tcp" })).answers[0]?.data,
          "own tcp",
        );
        assert.deepEqual(await data("client", "A", "server"), [serverIp]);
        assert.equal(
          await ok("exec", "client", "cat", "/etc/resolv.conf"),
          "nameserver 127.0.0.11\nsearch lab.test\noptions ndots:2 timeout:3",
        );
        // With ndots a name without a dot is nobody's else: no error, so that the search list is gone through.
        const short = await dns("client", "A", "example");
        assert.deepEqual([short.code, short.answers], [0, []]);
      } finally {
        await end(own);
      }
      await ok("network", "create", "--internal", "gt-nam-i");
      await run("inside", "--network", "gt-nam-i");
      assert.equal((await dns("inside", "A", "example.test")).code, SERVFAIL);
      assert.equal((await dns("inside", "A", "inside")).answers.length, 1);
    },
  );

  scene("port 53 is the container's own to serve", async () => {
    await ok("network", "create", "gt-nam-a");
    await run("served", "--network", "gt-nam-a");
    const pid = await ok("inspect", "-f", "{{.State.Pid}}", "served");
    const own = suite.daemon.host.start([
      "nsenter",
      "-t",
      pid,
      "-n",
      "--",
      process.execPath,
      helper("dns-server.ts"),
      "0.0.0.0",
      "in",
    ]);
    try {
      await own.waitForOutput(/listening/);
      assert.equal((await dns("served", "A", "served")).answers.length, 1);
    } finally {
      await end(own);
    }
  });

  scene("the next daemon goes on answering", async () => {
    await ok("network", "create", "gt-nam-a");
    await run("web", "--network", "gt-nam-a");
    await run("client", "--network", "gt-nam-a");
    const ip = await address("web", "gt-nam-a");
    await suite.daemon.killHard();
    await suite.daemon.launch();
    assert.deepEqual(await data("client", "A", "web"), [ip]);
    assert.deepEqual((await dns("client", "A", "web", { protocol: "tcp" })).answers[0]?.data, ip);
    await suite.daemon.stop();
    await suite.daemon.launch();
    assert.deepEqual(await data("client", "A", "web"), [ip]);
  });

  scene("the default bridge has no names; files follow the networks of a running container", async () => {
    await ok("network", "create", "gt-nam-a");
    const id = await run("box", "--domainname", "lab.test", "--hostname", "machine");
    const first = await address("box", "bridge");
    const short = id.slice(0, 12);
    assert.doesNotMatch(await ok("exec", "box", "cat", "/etc/resolv.conf"), /127\.0\.0\./);
    await ok("exec", "box", "sh", "-c", "echo '10.9.8.7 mine' >>/etc/hosts");
    await ok("network", "connect", "gt-nam-a", "box");
    assert.match(await ok("exec", "box", "cat", "/etc/resolv.conf"), /^nameserver 127\.0\.0\.11$/m);
    const second = await address("box", "gt-nam-a");
    const hosts = await ok("exec", "box", "cat", "/etc/hosts");
    assert.match(
      hosts,
      new RegExp(
        `^${first}\tmachine.lab.test machine$[^]*^10.9.8.7 mine$[^]*^${second}\tmachine.lab.test machine$`,
        "m",
      ),
    );
    assert.equal((await dns("box", "A", short)).answers[0]?.data, second);
    await ok("network", "disconnect", "gt-nam-a", "box");
    assert.doesNotMatch(
      await ok("exec", "box", "cat", "/etc/hosts"),
      new RegExp(second.replaceAll(".", "\\.")),
    );
    assert.match(await ok("exec", "box", "cat", "/etc/hosts"), /^10\.9\.8\.7 mine$/m);
  });

  scene("host-gateway is the default bridge on every network", async () => {
    await ok("network", "create", "gt-nam-a");
    for (const network of ["bridge", "gt-nam-a"]) {
      const hosts = await ok(
        "run",
        "--rm",
        "--network",
        network,
        "--add-host",
        "host.test:host-gateway",
        "--add-host",
        "six.test=[2001:db8::1]",
        busybox,
        "cat",
        "/etc/hosts",
      );
      assert.match(hosts, new RegExp(`^${suite.daemon.gateway.replaceAll(".", "\\.")}\thost.test$`, "m"));
      assert.match(hosts, /^2001:db8::1\tsix\.test$/m);
    }
  });
});
