/** The syslog driver with receivers of the test's own: TCP that stops reading, TLS with client certificates, datagrams. */
import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeCertificates } from "../helpers/certificates.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { eventually, type RunningProgram } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

/** Reads nothing before SIGUSR2; then counts the lines, and says how many when the word `marker` has come. */
const slowReceiver = `
let count = 0, rest = "";
const sockets = [];
const server = require("node:net").createServer({ pauseOnConnect: true }, (socket) => {
  sockets.push(socket);
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    const lines = (rest + chunk.toString("latin1")).split("\\n");
    rest = lines.pop();
    for (const line of lines) {
      count += 1;
      if (line.endsWith(": marker")) process.stdout.write("count " + count + "\\n");
    }
  });
});
process.on("SIGUSR2", () => sockets.forEach((socket) => socket.resume()));
server.listen(0, "127.0.0.1", () => process.stdout.write("port " + server.address().port + "\\n"));`;

/** Prints what comes over TLS from clients whose certificate the authority has signed. */
const tlsReceiver = `
const { readFileSync } = require("node:fs");
const [directory] = process.argv.slice(1);
const file = (name) => readFileSync(directory + "/" + name);
const server = require("node:tls").createServer(
  { cert: file("server.pem"), key: file("server-key.pem"), ca: file("ca.pem"), requestCert: true, rejectUnauthorized: process.argv[2] === "strict" },
  (socket) => { socket.on("error", () => {}); socket.on("data", (chunk) => process.stdout.write(chunk)); },
);
server.on("tlsClientError", () => {});
server.listen(0, "127.0.0.1", () => process.stdout.write("port " + server.address().port + "\\n"));`;

/** Prints the datagrams that come to a unix socket, a line each. */
const datagramReceiver = `
use Socket;
$| = 1;
socket(my $receiver, AF_UNIX, SOCK_DGRAM, 0) or die $!;
bind($receiver, sockaddr_un($ARGV[0])) or die $!;
print "port 0\\n";
while (defined(recv($receiver, my $message, 65536, 0))) { print $message; }`;

const withOptions = (...options: string[]): string[] => options.flatMap((option) => ["--log-opt", option]);

describe("syslog", () => {
  const suite = useDaemon();
  const opened: RunningProgram[] = [];
  let certificates: string;

  before(async () => {
    certificates = await mkdtemp(join(tmpdir(), "gantry-certificates-"));
    await makeCertificates(certificates);
  });
  after(() => rm(certificates, { recursive: true, force: true }));

  /** Starts a receiver on the daemon's host; it says its port first. */
  async function receiver(argv: string[]): Promise<{ program: RunningProgram; port: string }> {
    const program = suite.daemon.host.start(argv);
    opened.push(program);
    await program.waitForOutput(/^port \d+$/m, 60_000);
    return { program, port: /^port (\d+)$/m.exec(program.stdout())![1]! };
  }

  const end = async (program: RunningProgram): Promise<void> => {
    program.process.kill("SIGKILL");
    await program.wait().catch(() => {});
  };

  after(async () => {
    for (const program of opened) await end(program);
  });

  const lineCount = 120_000;
  /** Prints a lot, says so in a file, and prints the marker when it is told to. */
  const chatty = `i=0; yes ${"x".repeat(149)} | head -n ${lineCount}; touch /printed; while [ ! -e /go ]; do sleep 0.1; done; echo marker; sleep 600`;

  async function printedAll(daemon: TestDaemon): Promise<void> {
    await eventually(
      async () => (await daemon.docker(["exec", "box", "test", "-e", "/printed"])).code === 0,
      {
        timeoutMs: 120_000,
        intervalMs: 200,
        what: "the container to have printed all",
      },
    );
  }

  async function rawLog(daemon: TestDaemon): Promise<string> {
    const id = await daemon.dockerOk(["inspect", "-f", "{{.Id}}", "box"]);
    return join(daemon.dataRoot, "containers", id, "container.log");
  }

  test("mode=non-blocking: a receiver that takes nothing costs the buffer's size and messages, nothing else", async () => {
    const { daemon } = suite;
    const { program, port } = await receiver([process.execPath, "-e", slowReceiver]);
    const options = withOptions(
      `syslog-address=tcp://127.0.0.1:${port}`,
      "mode=non-blocking",
      "max-buffer-size=512k",
    );
    const flags = ["--init", "--name", "box", "--log-driver", "syslog", ...options];
    await daemon.dockerOk(["run", "-d", ...flags, busybox, "sh", "-c", chatty]);
    await printedAll(daemon);
    const raw = await rawLog(daemon);
    const held = (): number => statSync(raw).blocks * 512;
    assert.ok(statSync(raw).size > lineCount * 150);
    await eventually(() => held() < 2 * 1024 * 1024, {
      timeoutMs: 60_000,
      what: "the room to be given back",
    });
    program.process.kill("SIGUSR2");
    await daemon.dockerOk(["exec", "box", "touch", "/go"]);
    await program.waitForOutput(/^count \d+$/m, 120_000);
    const count = Number(/^count (\d+)$/m.exec(program.stdout())![1]);
    assert.ok(count > 1 && count < lineCount, `${count} lines of ${lineCount} came`);
    await daemon.dockerOk(["rm", "-f", "box"]);
    await end(program);
  });

  test("mode=blocking: a receiver that takes nothing for a while gets every line", async () => {
    const { daemon } = suite;
    const { program, port } = await receiver([process.execPath, "-e", slowReceiver]);
    const options = withOptions(`syslog-address=tcp://127.0.0.1:${port}`);
    const flags = ["--init", "--name", "box", "--log-driver", "syslog", ...options];
    await daemon.dockerOk(["run", "-d", ...flags, busybox, "sh", "-c", chatty]);
    await printedAll(daemon);
    await daemon.dockerOk(["exec", "box", "touch", "/go"]);
    program.process.kill("SIGUSR2");
    await program.waitForOutput(/^count \d+$/m, 120_000);
    assert.match(program.stdout(), new RegExp(`^count ${lineCount + 1}$`, "m"));
    await daemon.dockerOk(["rm", "-f", "box"]);
    await end(program);
  });

  test("a receiver that takes nothing keeps neither a container from ending nor the daemon", async () => {
    const { daemon } = suite;
    const { program, port } = await receiver([process.execPath, "-e", slowReceiver]);
    const options = withOptions(`syslog-address=tcp://127.0.0.1:${port}`);
    const flags = ["--name", "box", "--init", "--log-driver", "syslog", ...options];
    await daemon.dockerOk(["run", "-d", ...flags, busybox, "sh", "-c", chatty]);
    await printedAll(daemon);
    await daemon.stop();
    await daemon.launch();
    await daemon.dockerOk(["kill", "box"]);
    assert.equal(await daemon.dockerOk(["wait", "box"]), "137");
    await daemon.dockerOk(["rm", "box"], { timeoutMs: 60_000 });
    await end(program);
  });

  test("tcp+tls: both sides show certificates; messages are counted (RFC 5425)", async () => {
    const { daemon } = suite;
    const { program, port } = await receiver([process.execPath, "-e", tlsReceiver, certificates, "strict"]);
    const file = (name: string): string => join(certificates, name);
    const options = withOptions(
      `syslog-address=tcp+tls://127.0.0.1:${port}`,
      `syslog-tls-ca-cert=${file("ca.pem")}`,
      `syslog-tls-cert=${file("client.pem")}`,
      `syslog-tls-key=${file("client-key.pem")}`,
      "syslog-format=rfc5424micro",
      "tag={{.Name}}",
    );
    const flags = ["--name", "box", "--log-driver", "syslog", ...options];
    await daemon.dockerOk(["run", ...flags, busybox, "sh", "-c", "echo out; echo err >&2"]);
    await program.waitForOutput(/ - out\n[^]* - err\n/, 60_000);
    const text = program.stdout().replace(/^port \d+\n/, "");
    const frames = text.split(/(?<=\n)/);
    assert.equal(frames.length, 2);
    const patterns = [
      /^(\d+) <30>1 \d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z \S+ box \d+ box - out\n$/,
      /^(\d+) <27>1 .* box \d+ box - err\n$/,
    ];
    for (const [index, frame] of frames.entries()) {
      assert.match(frame, patterns[index]!);
      const [length = ""] = frame.split(" ");
      assert.equal(Number(length), frame.length - length.length - 1);
    }
    await daemon.dockerOk(["rm", "box"]);
    await end(program);
  });

  test("tcp+tls: a receiver of another authority is refused, unless that is not to be looked at", async () => {
    const { daemon } = suite;
    const { program, port } = await receiver([process.execPath, "-e", tlsReceiver, certificates, "open"]);
    const address = `syslog-address=tcp+tls://127.0.0.1:${port}`;
    const stranger = `syslog-tls-ca-cert=${join(certificates, "other-ca.pem")}`;
    const flags = (...options: string[]): string[] => ["--log-driver", "syslog", ...withOptions(...options)];
    const refused = await daemon.docker(["run", "--rm", ...flags(address, stranger), busybox, "echo", "one"]);
    assert.equal(refused.code, 125);
    assert.match(refused.stderr, /failed to initialize logging driver: .*certificate/);
    const skipping = flags(address, stranger, "syslog-tls-skip-verify=true");
    await daemon.dockerOk(["run", "--rm", ...skipping, busybox, "echo", "two"]);
    await program.waitForOutput(/: two\n/, 60_000);
    assert.doesNotMatch(program.stdout(), /one/);
    await end(program);
  });

  test("unixgram: a datagram a line; a receiver that comes back gets what was said meanwhile", async () => {
    const { daemon } = suite;
    const path = join(daemon.root, "log.sock");
    const argv = ["perl", "-e", datagramReceiver, path];
    const { program: first } = await receiver(argv);
    const options = withOptions(`syslog-address=unixgram://${path}`, "syslog-format=rfc3164", "tag=T");
    const flags = ["--name", "box", "--init", "--log-driver", "syslog", ...options];
    const script = "echo one; while [ ! -e /go ]; do sleep 0.1; done; echo two; sleep 600";
    await daemon.dockerOk(["run", "-d", ...flags, busybox, "sh", "-c", script]);
    await first.waitForOutput(/^<30>[A-Z][a-z]{2} [ \d]\d [\d:]{8} \S+ T\[\d+\]: one$/m, 60_000);
    await end(first);
    await rm(path);
    await daemon.dockerOk(["exec", "box", "touch", "/go"]);
    assert.ok(!existsSync(path));
    const { program: second } = await receiver(argv);
    await second.waitForOutput(/: two$/m, 60_000);
    assert.doesNotMatch(second.stdout(), /one/);
    await daemon.dockerOk(["rm", "-f", "box"]);
    await end(second);
    await rm(path);
  });
});
