/** The network of a container: none, host, bridge; names; the way out; published ports. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { eventually, start } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";
import { connectOutside } from "../helpers/test-host.ts";

/** Answers every connection on a port with one line. */
const server = (port: number, text: string): string[] => [
  "nc",
  "-ll",
  "-p",
  String(port),
  "-e",
  "echo",
  text,
];

/** Prints the address of the first that connects, and what it says. */
const tcpListener = `
  require("node:net").createServer((socket) => {
    console.log(socket.remoteAddress.replace("::ffff:", ""));
    socket.on("data", (chunk) => process.stdout.write(chunk));
    socket.on("end", () => process.exit(0));
  }).listen(Number(process.argv[1]), "0.0.0.0", () => console.log("listening"));`;

/** Sends every datagram back. */
const udpEcho = `
  const socket = require("node:dgram").createSocket("udp4");
  socket.on("message", (message, from) => socket.send(message, from.port, from.address));
  socket.bind(Number(process.argv[1]), () => console.log("listening"));`;

/** Sends a datagram and prints the answer. */
const udpAsk = `
  const socket = require("node:dgram").createSocket("udp4");
  socket.on("message", (message) => { console.log(String(message)); process.exit(0); });
  socket.send("ping", Number(process.argv[2]), process.argv[1]);
  setTimeout(() => process.exit(1), 2000);`;

describe("network", () => {
  const suite = useDaemon();

  /** One line from a TCP port, asked for from the daemon's host (or `from`). */
  async function ask(address: string, port: string | number, from: string[] = []): Promise<string> {
    let answer = "";
    await eventually(
      async () => {
        const command = [...from, "busybox", "nc", "-w", "2", address, String(port)];
        const { stdout } = await suite.daemon.host.run(["sh", "-c", `${command.join(" ")} </dev/null`]);
        answer = stdout.trim();
        return answer !== "";
      },
      { timeoutMs: 60_000, what: `an answer of ${address}:${port}` },
    );
    return answer;
  }

  const published = async (name: string, port = "80/tcp"): Promise<string> => {
    const shown = await suite.daemon.dockerOk(["port", name, port]);
    return /:(\d+)/.exec(shown)?.[1] ?? "";
  };

  test("none has a loopback only", async () => {
    const links = await suite.daemon.dockerOk([
      "run",
      "--rm",
      "--network",
      "none",
      busybox,
      "ls",
      "/sys/class/net",
    ]);
    assert.equal(links, "lo");
  });

  test("host is the host's own", async () => {
    const { daemon } = suite;
    const own = await daemon.dockerOk([
      "run",
      "--rm",
      "--network",
      "host",
      busybox,
      "readlink",
      "/proc/self/ns/net",
    ]);
    const host = await daemon.host.run(["readlink", "/proc/self/ns/net"]);
    assert.equal(own, host.stdout.trim());
  });

  test("bridge has eth0 with an address of the pool, a default route and the gateway in reach", async () => {
    const { daemon } = suite;
    const prefix = daemon.gateway.replace(/\d+$/, "");
    const output = await daemon.dockerOk([
      "run",
      "--rm",
      busybox,
      "sh",
      "-c",
      "ip -4 -o addr show eth0; ip route; ping -c 1 -W 2 $(ip route | awk '/default/ {print $3}') >/dev/null && echo reached",
    ]);
    assert.match(output, new RegExp(`inet ${prefix.replaceAll(".", "\\.")}\\d+/24`));
    assert.match(output, new RegExp(`default via ${daemon.gateway.replaceAll(".", "\\.")} dev eth0`));
    assert.match(output, /reached$/);
  });

  test("inspect tells the address that the container has", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sleep", "60"]);
    const told = await daemon.dockerOk([
      "inspect",
      "-f",
      "{{.NetworkSettings.Networks.bridge.IPAddress}}",
      "box",
    ]);
    const real = await daemon.dockerOk([
      "exec",
      "box",
      "sh",
      "-c",
      "ip -4 -o addr show eth0 | awk '{print $4}'",
    ]);
    assert.equal(`${told}/24`, real);
    const mac = await daemon.dockerOk([
      "inspect",
      "-f",
      "{{.NetworkSettings.Networks.bridge.MacAddress}}",
      "box",
    ]);
    assert.equal(await daemon.dockerOk(["exec", "box", "cat", "/sys/class/net/eth0/address"]), mac);
  });

  test("two containers reach each other", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "one", busybox, ...server(9000, "from-one")]);
    const address = await daemon.dockerOk([
      "inspect",
      "-f",
      "{{.NetworkSettings.Networks.bridge.IPAddress}}",
      "one",
    ]);
    await daemon.dockerOk(["run", "-d", "--name", "two", busybox, "sleep", "60"]);
    await eventually(
      async () =>
        (await daemon.docker(["exec", "two", "nc", "-w", "1", address, "9000"])).stdout === "from-one\n",
      { what: "the other container" },
    );
  });

  test("resolv.conf is the host's without loopback servers; --dns overrides", async () => {
    const { daemon } = suite;
    const own = await daemon.dockerOk(["run", "--rm", busybox, "cat", "/etc/resolv.conf"]);
    assert.match(own, /^nameserver /m);
    assert.doesNotMatch(own, /^nameserver 127\./m);
    const flags = ["--dns", "192.0.2.53", "--dns-search", "corp.example", "--dns-option", "ndots:3"];
    const given = await daemon.dockerOk(["run", "--rm", ...flags, busybox, "cat", "/etc/resolv.conf"]);
    assert.match(given, /^nameserver 192\.0\.2\.53$/m);
    assert.match(given, /^search corp\.example$/m);
    assert.match(given, /^options ndots:3$/m);
  });

  test("--add-host adds lines, host-gateway is the bridge's address", async () => {
    const { daemon } = suite;
    const flags = ["--add-host", "db:192.0.2.7", "--add-host", "me:host-gateway"];
    const hosts = await daemon.dockerOk(["run", "--rm", ...flags, busybox, "cat", "/etc/hosts"]);
    assert.match(hosts, /^192\.0\.2\.7\tdb$/m);
    assert.ok(hosts.includes(`${daemon.gateway}\tme`), hosts);
  });

  test("the way out is under the host's address", async () => {
    const { daemon } = suite;
    await using outside = await connectOutside(daemon.host);
    const listener = outside.start([process.execPath, "-e", tcpListener, "7000"]);
    await listener.waitForOutput(/listening/);
    await daemon.dockerOk(["run", "--rm", busybox, "sh", "-c", `echo hi | nc -w 2 ${outside.address} 7000`]);
    const seen = await listener.wait();
    assert.equal(seen.stdout, `listening\n${outside.hostAddress}\nhi\n`);
  });

  test("-p answers on 127.0.0.1, the host's addresses, from outside and from other containers", async () => {
    const { daemon } = suite;
    await using outside = await connectOutside(daemon.host);
    await daemon.dockerOk(["run", "-d", "--name", "web", "-p", "8080:80", busybox, ...server(80, "web")]);
    assert.equal(await ask("127.0.0.1", 8080), "web");
    assert.equal(await ask(daemon.gateway, 8080), "web");
    assert.equal(await ask(outside.hostAddress, 8080), "web");
    const fromOutside = await outside.run([
      "sh",
      "-c",
      `busybox nc -w 3 ${outside.hostAddress} 8080 </dev/null`,
    ]);
    assert.equal(fromOutside.stdout, "web\n");
    for (const address of [daemon.gateway, outside.hostAddress]) {
      const other = await daemon.dockerOk([
        "run",
        "--rm",
        busybox,
        "sh",
        "-c",
        `nc -w 3 ${address} 8080 </dev/null`,
      ]);
      assert.equal(other, "web", `from another container to ${address}`);
    }
  });

  test("a container reaches its own published port", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "web", "-p", "8083:80", busybox, ...server(80, "self")]);
    await ask("127.0.0.1", 8083);
    const own = await daemon.dockerOk([
      "exec",
      "web",
      "sh",
      "-c",
      `nc -w 3 ${daemon.gateway} 8083 </dev/null`,
    ]);
    assert.equal(own, "self");
  });

  test("-p 127.0.0.1:PORT is not reachable from outside", async () => {
    const { daemon } = suite;
    await using outside = await connectOutside(daemon.host);
    await daemon.dockerOk([
      "run",
      "-d",
      "--name",
      "web",
      "-p",
      "127.0.0.1:8081:80",
      busybox,
      ...server(80, "local"),
    ]);
    assert.equal(await ask("127.0.0.1", 8081), "local");
    const refused = await outside.run(["sh", "-c", `busybox nc -w 2 ${outside.hostAddress} 8081 </dev/null`]);
    assert.notEqual(refused.code, 0);
    assert.equal(refused.stdout, "");
  });

  test("-p CONTAINERPORT takes a free port, port and ps show it", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "web", "-p", "80", busybox, ...server(80, "any")]);
    const port = await published("web");
    assert.match(port, /^\d{4,5}$/);
    assert.equal(await ask("127.0.0.1", port), "any");
    assert.match(
      await daemon.dockerOk(["ps", "--format", "{{.Ports}}"]),
      new RegExp(`0\\.0\\.0\\.0:${port}->80/tcp`),
    );
  });

  test("-p with a range and udp", async () => {
    const { daemon } = suite;
    await daemon.dockerOk([
      "run",
      "-d",
      "--name",
      "range",
      "-p",
      "18100-18102:80-82",
      "-p",
      "18100:53/udp",
      busybox,
      "sleep",
      "60",
    ]);
    const ports = await daemon.dockerOk(["port", "range"]);
    for (const line of [
      "80/tcp -> 0.0.0.0:18100",
      "81/tcp -> 0.0.0.0:18101",
      "82/tcp -> 0.0.0.0:18102",
      "53/udp -> 0.0.0.0:18100",
    ])
      assert.ok(ports.includes(line), `${line} in ${ports}`);
  });

  test("udp goes both ways through a published port", async () => {
    const { daemon } = suite;
    await using outside = await connectOutside(daemon.host);
    await daemon.dockerOk(["run", "-d", "--name", "udp", "-p", "18200:5000/udp", busybox, "sleep", "60"]);
    const pid = await daemon.dockerOk(["inspect", "-f", "{{.State.Pid}}", "udp"]);
    // busybox has no UDP server, so node listens in the container's network namespace.
    const echo = start(["nsenter", "-t", pid, "-n", process.execPath, "-e", udpEcho, "5000"]);
    await echo.waitForOutput(/listening/);
    const ask = (address: string): string[] => [process.execPath, "-e", udpAsk, address, "18200"];
    const local = await daemon.host.run(ask("127.0.0.1"));
    const remote = await outside.run(ask(outside.hostAddress));
    echo.process.kill("SIGKILL");
    assert.deepEqual([local.stdout, remote.stdout], ["ping\n", "ping\n"]);
  });

  test("a port goes free again after stop and can be taken again", async () => {
    const { daemon } = suite;
    for (const name of ["first", "second"]) {
      await daemon.dockerOk(["run", "-d", "--name", name, "-p", "8084:80", busybox, ...server(80, name)]);
      assert.equal(await ask("127.0.0.1", 8084), name);
      await daemon.dockerOk(["rm", "-f", name]);
    }
    const refused = await daemon.host.run(["sh", "-c", "busybox nc -w 1 127.0.0.1 8084 </dev/null"]);
    assert.notEqual(refused.code, 0);
  });

  test("a busy port is named in the error, and the container stays created", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "first", "-p", "8085:80", busybox, "sleep", "60"]);
    const result = await daemon.docker([
      "run",
      "-d",
      "--name",
      "second",
      "-p",
      "8085:80",
      busybox,
      "sleep",
      "60",
    ]);
    assert.equal(result.code, 125);
    assert.match(result.stderr, /8085/);
    assert.match(result.stderr, /already (allocated|in use)/);
    assert.equal(await daemon.dockerOk(["inspect", "-f", "{{.State.Status}}", "second"]), "created");
    await daemon.dockerOk(["rm", "-f", "first"]);
    await daemon.dockerOk(["start", "second"]);
  });

  test("a port that another program of the host holds is busy, too", async () => {
    const { daemon } = suite;
    const listener = daemon.host.start(["busybox", "nc", "-l", "-p", "8086"]);
    await daemon.host.run(["sleep", "0.3"]);
    const result = await daemon.docker(["run", "-d", "-p", "8086:80", busybox, "sleep", "60"]);
    listener.process.kill("SIGKILL");
    assert.equal(result.code, 125);
    assert.match(result.stderr, /8086/);
    assert.match(result.stderr, /address already in use|already allocated/);
  });

  test("network inspect bridge lists the container", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sleep", "60"]);
    const listed = await daemon.dockerOk([
      "network",
      "inspect",
      "-f",
      "{{range .Containers}}{{.Name}}{{end}}",
      "bridge",
    ]);
    assert.equal(listed, "box");
    const names = await daemon.dockerOk(["network", "ls", "--format", "{{.Name}} {{.Driver}}"]);
    assert.deepEqual(names.split("\n").toSorted(), ["bridge bridge", "host host", "none null"]);
  });
});
