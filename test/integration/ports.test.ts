/** Published ports: every form of -p, IPv6, and what happens to them while no daemon runs and while others change rules. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";
import { connectOutside, type Outside } from "../helpers/test-host.ts";

/** Answers every connection, of IPv4 and IPv6, with a line that says where it came from. */
const server = `
  require("node:net").createServer((socket) => socket.end(process.argv[2] + " " + socket.remoteAddress + "\\n"))
    .listen(Number(process.argv[1]), "::", () => console.log("listening"));`;

/** Connects and prints what comes; "-" when nothing does within a second. */
const client = `
  const socket = require("node:net").connect({ host: process.argv[1], port: Number(process.argv[2]), timeout: 1000 });
  let text = "";
  const end = () => { console.log(text.trim() || "-"); process.exit(); };
  socket.on("data", (data) => { text += data; });
  for (const event of ["end", "error", "timeout"]) socket.on(event, end);`;

const hostAddress6 = "2001:db8:6e61::2";
const outsideAddress6 = "2001:db8:6e61::1";

describe("published ports", () => {
  const suite = useDaemon();
  const ok = (...args: string[]): Promise<string> => suite.daemon.dockerOk(args);
  const onHost = async (...argv: string[]): Promise<string> => {
    const { code, stdout, stderr } = await suite.daemon.host.run(argv);
    assert.equal(code, 0, `${argv.join(" ")}: ${stderr}`);
    return stdout;
  };
  const pidOf = (name: string): Promise<string> => ok("inspect", "-f", "{{.State.Pid}}", name);
  const table = "gantry";

  type From = "host" | { outside: Outside } | { pid: string };
  async function ask(from: From, address: string, port: number): Promise<string> {
    const argv = [process.execPath, "-e", client, address, String(port)];
    if (from === "host") return (await onHost(...argv)).trim();
    if ("outside" in from) return (await from.outside.run(argv)).stdout.trim();
    return (await onHost("nsenter", "-t", from.pid, "-n", "--", ...argv)).trim();
  }
  const answers = (from: From, address: string, port: number, expected: RegExp): Promise<void> =>
    eventually(async () => expected.test(await ask(from, address, port)), {
      timeoutMs: 60_000,
      what: `${expected} of ${address}:${port}`,
    });

  async function outsideWith6(): Promise<Outside> {
    const outside = await connectOutside(suite.daemon.host);
    await onHost("ip", "addr", "add", `${hostAddress6}/64`, "dev", "up0", "nodad");
    await outside.run(["ip", "addr", "add", `${outsideAddress6}/64`, "dev", "wan0", "nodad"]);
    return outside;
  }

  /** A server in a container's network namespace, which goes with `after`. */
  async function serve(name: string, port: number): Promise<AsyncDisposable> {
    const argv = [
      "nsenter",
      "-t",
      await pidOf(name),
      "-n",
      "--",
      process.execPath,
      "-e",
      server,
      String(port),
      name,
    ];
    const program = suite.daemon.host.start(argv);
    await program.waitForOutput(/listening/);
    return {
      [Symbol.asyncDispose]: async () => {
        program.process.kill("SIGKILL");
        await program.wait();
      },
    };
  }

  test("every form of -p", async () => {
    const forms: readonly (readonly [form: string, shown: RegExp])[] = [
      ["18301:80", /^80\/tcp -> 0\.0\.0\.0:18301\n80\/tcp -> \[::\]:18301$/],
      [
        "18302-18303:80-81",
        /^80\/tcp -> 0\.0\.0\.0:18302\n80\/tcp -> \[::\]:18302\n81\/tcp -> 0\.0\.0\.0:18303\n81\/tcp -> \[::\]:18303$/,
      ],
      ["127.0.0.1:18304:80/udp", /^80\/udp -> 127\.0\.0\.1:18304$/],
      ["127.0.0.1::80", /^80\/tcp -> 127\.0\.0\.1:\d{4,5}$/],
      ["[::1]:18305:80", /^80\/tcp -> \[::1\]:18305$/],
      ["[::1]::80/udp", /^80\/udp -> \[::1\]:\d{4,5}$/],
      [
        "127.0.0.1:18306-18307:80-81/sctp",
        /^80\/sctp -> 127\.0\.0\.1:18306\n81\/sctp -> 127\.0\.0\.1:18307$/,
      ],
      ["0.0.0.0:18308-18310:80", /^80\/tcp -> 0\.0\.0\.0:18308$/],
      ["80", /^80\/tcp -> 0\.0\.0\.0:(\d{4,5})\n80\/tcp -> \[::\]:\1$/],
      [
        "80-81/udp",
        /^80\/udp -> 0\.0\.0\.0:\d+\n80\/udp -> \[::\]:\d+\n81\/udp -> 0\.0\.0\.0:\d+\n81\/udp -> \[::\]:\d+$/,
      ],
    ];
    for (const [form, shown] of forms) {
      await ok("run", "-d", "--name", "box", "-p", form, busybox, "sleep", "600");
      assert.match(await ok("port", "box"), shown, form);
      await ok("rm", "-f", "box");
    }
    await ok(
      "run",
      "-d",
      "--name",
      "box",
      "--expose",
      "70-71",
      "--expose",
      "72/udp",
      "-P",
      busybox,
      "sleep",
      "600",
    );
    assert.match(
      await ok("port", "box"),
      /^70\/tcp -> 0\.0\.0\.0:\d+\n70\/tcp -> \[::\]:\d+\n71\/tcp -> [^]*72\/udp -> /,
    );
    for (const [form, words] of [
      ["18301-18302:80-82", /[Ii]nvalid (ranges|range)/],
      ["70000:80", /invalid (hostPort|port|range)/i],
      ["127.0.0.300:80:80", /invalid/i],
      ["203.0.113.77:18311:80", /cannot assign requested address/],
    ] as const) {
      const refused = await suite.daemon.docker(["run", "--rm", "-p", form, busybox, "true"]);
      assert.equal(refused.code, 125, form);
      assert.match(refused.stderr, words);
    }
  });

  test("IPv6: from the host, from outside, from itself; without a daemon, too", async () => {
    await using outside = await outsideWith6();
    await ok("network", "create", "--ipv6", "--subnet", "fd00:6e61:70::/64", "gt-nam-six");
    try {
      await ok(
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "gt-nam-six",
        "-p",
        "18320:80",
        "-p",
        "[::1]:18321:80",
        busybox,
        "sleep",
        "600",
      );
      await using _server = await serve("web", 80);
      const self = { pid: await pidOf("web") };
      const onLoopback = async (): Promise<void> => {
        await answers("host", "::1", 18320, /^web /);
        await answers("host", "::1", 18321, /^web /);
      };
      const all = async (): Promise<void> => {
        await answers("host", hostAddress6, 18320, /^web /);
        await answers("host", "127.0.0.1", 18320, /^web /);
        await answers({ outside }, hostAddress6, 18320, new RegExp(`^web ${outsideAddress6}$`));
        await answers({ outside }, outside.hostAddress, 18320, /^web .*198\.51\.100\.1$/);
        await answers(self, hostAddress6, 18320, /^web /);
        await answers(self, outside.hostAddress, 18320, /^web /);
        assert.equal(await ask({ outside }, hostAddress6, 18321), "-");
      };
      await all();
      await onLoopback();
      await suite.daemon.killHard();
      await all();
      await suite.daemon.launch();
      await all();
      await onLoopback();
      // A container's own address is no way in.
      const six = await ok(
        "inspect",
        "-f",
        '{{(index .NetworkSettings.Networks "gt-nam-six").GlobalIPv6Address}}',
        "web",
      );
      await outside.run(["ip", "-6", "route", "add", "fd00:6e61:70::/64", "via", hostAddress6]);
      assert.equal(await ask({ outside }, six, 80), "-");
    } finally {
      await suite.daemon.removeContainers();
      await ok("network", "rm", "gt-nam-six");
    }
  });

  test("a container with IPv4 alone answers on ::1 while the daemon runs", async () => {
    await ok("run", "-d", "--name", "web", "-p", "18330:80", busybox, "sleep", "600");
    await using _server = await serve("web", 80);
    await answers("host", "::1", 18330, /^web /);
    await suite.daemon.killHard();
    await answers("host", "127.0.0.1", 18330, /^web /);
    await suite.daemon.launch();
    await answers("host", "::1", 18330, /^web /);
  });

  test("nft flush ruleset, a lost table and SIGHUP: the ports are there again", async () => {
    await using outside = await outsideWith6();
    await ok("run", "-d", "--name", "web", "-p", "18340:80", busybox, "sleep", "600");
    await using _server = await serve("web", 80);
    await answers({ outside }, outside.hostAddress, 18340, /^web /);
    const name = (await onHost("nft", "list", "tables"))
      .split("\n")
      .map((line) => line.split(" ")[2] ?? "")
      .find((each) => each.startsWith(table));
    const listed = (): Promise<string> => onHost("nft", "list", "table", "inet", name!);
    const before = await listed();
    for (const harm of ["flush ruleset", `delete table inet ${name}`]) {
      await onHost("nft", harm);
      await eventually(
        async () => (await onHost("nft", "list", "tables")).includes(name!) && (await listed()) === before,
        { what: harm },
      );
    }
    await answers({ outside }, outside.hostAddress, 18340, /^web /);
    suite.daemon.signal("SIGHUP");
    await answers({ outside }, outside.hostAddress, 18340, /^web /);
    // While nobody watches; the next daemon puts it right.
    await suite.daemon.killHard();
    await onHost("nft", "flush", "ruleset");
    await suite.daemon.launch();
    await answers({ outside }, outside.hostAddress, 18340, /^web /);
    assert.equal(await listed(), before);
  });

  test("beside a firewall that drops what is forwarded; nothing of ours is left in it", async () => {
    await using outside = await outsideWith6();
    const rules =
      "table inet host-firewall { chain forward { type filter hook forward priority filter + 5; policy drop; ct state established accept; }; }";
    await onHost("nft", rules);
    try {
      await ok("run", "-d", "--name", "web", "-p", "18350:80", busybox, "sleep", "600");
      await using _server = await serve("web", 80);
      await answers({ outside }, outside.hostAddress, 18350, /^web /);
      await ok("network", "create", "gt-nam-drop");
      await ok("network", "connect", "gt-nam-drop", "web");
      const chain = (): Promise<string> => onHost("nft", "list", "table", "inet", "host-firewall");
      assert.equal([...(await chain()).matchAll(/accept comment/g)].length, 4);
      await ok("network", "disconnect", "gt-nam-drop", "web");
      await ok("network", "rm", "gt-nam-drop");
      assert.equal([...(await chain()).matchAll(/accept comment/g)].length, 2);
      await suite.daemon.removeContainers();
      await suite.daemon.stop();
      assert.doesNotMatch(await chain(), /accept comment/);
      assert.doesNotMatch(await onHost("nft", "list", "tables"), /gantry/);
      await suite.daemon.launch();
    } finally {
      await onHost("nft", "delete", "table", "inet", "host-firewall");
    }
  });
});
