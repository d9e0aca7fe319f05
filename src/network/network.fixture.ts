/**
 * For tests: a pretend host. The test process moves into a fresh network namespace for good, so that the real host's
 * devices, rules and settings are never touched, and gets a neighbour on a wire, "outside".
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createServer, connect, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Database, openDatabase } from "../base/database.ts";
import { newId } from "../base/ids.ts";
import { libc } from "../linux/libc.ts";
import { createNetns, deleteNetns, inNetns } from "../linux/netns.ts";
import { nft, nftList } from "../linux/nftables.ts";
import { RouteSocket } from "../linux/rtnetlink.ts";
import { defaultNetworkConfig, type NetworkConfig } from "./network-config.ts";
import { createNetworkManager } from "./manager.ts";
import type { NetworkManager, PortRequest, Sandbox } from "./network.ts";

export const hostAddress = "198.18.0.1";
export const outsideAddress = "198.18.0.2";
export const hostAddress6 = "fd77::1";

export interface PretendHost {
  readonly directory: string;
  /** File of the neighbour's namespace. */
  readonly outside: string;
}

const run = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

/** Moves this process into a namespace of its own, with a neighbour. Once a process. */
export function becomePretendHost(): PretendHost {
  const directory = mkdtempSync(join(tmpdir(), "gantry-network-"));
  if (libc.func("int unshare(int flags)")(0x40000000) !== 0) throw new Error("unshare failed");
  const outside = join(directory, "outside");
  createNetns(outside, () => {
    using route = RouteSocket.open();
    route.setLink(1, { up: true });
  });
  run("ip", "link", "set", "lo", "up");
  run("ip", "link", "add", "wire", "type", "veth", "peer", "name", "eth0", "netns", outside);
  run("ip", "addr", "add", `${hostAddress}/24`, "dev", "wire");
  run("ip", "-6", "addr", "add", `${hostAddress6}/64`, "dev", "wire", "nodad");
  run("ip", "link", "set", "wire", "up");
  inside(outside, "ip", "link", "set", "eth0", "up");
  inside(outside, "ip", "addr", "add", `${outsideAddress}/24`, "dev", "eth0");
  inside(outside, "ip", "-6", "addr", "add", "fd77::2/64", "dev", "eth0", "nodad");
  inside(outside, "ip", "route", "add", "default", "via", hostAddress);
  return { directory, outside };
}

/** Ends the neighbour and takes the files away. */
export function leavePretendHost({ directory, outside }: PretendHost): void {
  deleteNetns(outside);
  for (const path of namespaceFiles(directory)) deleteNetns(path);
  rmSync(directory, { recursive: true, force: true });
}

/** Runs a program in a namespace and gives what it printed. Throws when it fails. */
export function inside(netns: string, program: string, ...args: string[]): string {
  return run("nsenter", `--net=${netns}`, program, ...args);
}

function spawnIn(netns: string, program: string, ...args: string[]): ChildProcess {
  return spawn("nsenter", [`--net=${netns}`, program, ...args], { stdio: ["pipe", "pipe", "inherit"] });
}

/** A TCP server in a namespace that answers each client `LABEL PEER-ADDRESS`. */
export async function serve(netns: string | undefined, port: number, label: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.end(`${label} ${(socket.remoteAddress ?? "").replace("::ffff:", "")}`);
  });
  server.unref();
  if (netns === undefined) server.listen(port, "127.0.0.1");
  else inNetns(netns, () => server.listen(port));
  await once(server, "listening");
  return server;
}

/** As {@link ask} where no answer is expected: it is not waited for long. */
export const askBriefly: typeof ask = (netns, host, port) => ask(netns, host, port, 700);

/**
 * What a server says to a client in `netns` (the host, when undefined); undefined when it cannot be reached. The time is for
 * machines under load: a first packet may be lost while a device comes up, and is sent again after a second.
 */
export async function ask(
  netns: string | undefined,
  host: string,
  port: number,
  timeoutMs = 60_000,
): Promise<string | undefined> {
  if (netns === undefined) {
    const socket = connect({ host, port, timeout: timeoutMs });
    socket.on("timeout", () => socket.destroy(new Error("timeout")));
    try {
      return (await socket.setEncoding("utf8").toArray()).join("");
    } catch {
      return undefined;
    }
  }
  const client = spawn(
    "nsenter",
    [`--net=${netns}`, "timeout", String(timeoutMs / 1000), "busybox", "nc", host, String(port)],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  const answer = (await client.stdout.setEncoding("utf8").toArray()).join("");
  return answer === "" ? undefined : answer;
}

const udpServer = `
const socket = require("node:dgram").createSocket("udp4");
socket.on("message", (data, from) => socket.send(process.argv[2] + " " + data, from.port, from.address));
socket.bind(Number(process.argv[1]), () => console.log("ready"));
`;

/** A UDP server in a namespace that answers `LABEL MESSAGE`. */
export async function serveUdp(netns: string, port: number, label: string): Promise<ChildProcess> {
  const child = spawnIn(netns, process.execPath, "-e", udpServer, String(port), label);
  await once(child.stdout!, "data");
  return child;
}

const udpClient = `
const socket = require("node:dgram").createSocket("udp4");
socket.on("message", (data) => { console.log(String(data)); process.exit(); });
const ask = () => socket.send("hello", Number(process.argv[2]), process.argv[1]);
ask();
setInterval(ask, 1000);
setTimeout(() => process.exit(), 60000);
`;

/** What comes of another program's listening on a TCP port of one family: `free`, or the error's code. */
export async function tryPort(address: string, port: number): Promise<string> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<string>();
  server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
  server.listen({ port, host: address, ipv6Only: true }, () => server.close(() => resolve("free")));
  return await promise;
}

/** What a UDP server answers to `hello` from a client in `netns`; empty when nothing comes. */
export function askUdpFrom(netns: string, address: string, port: number): string {
  return inside(netns, process.execPath, "-e", udpClient, address, String(port)).trim();
}

export interface TestManager extends NetworkManager {
  readonly database: Database;
  readonly execRoot: string;
  readonly openContainer: (options?: ContainerOptions) => Promise<Sandbox & { netns: string }>;
}

export interface ContainerOptions {
  readonly id?: string;
  readonly ports?: readonly PortRequest[];
  readonly ipv4Address?: string;
  readonly macAddress?: string;
  readonly network?: string;
}

export function tcp(containerPort: number, hostPort = 0, hostIp = ""): PortRequest {
  return { protocol: "tcp", containerPort, hostIp, hostPortFirst: hostPort, hostPortLast: hostPort };
}

export function udp(containerPort: number, hostPort = 0, hostIp = ""): PortRequest {
  return { ...tcp(containerPort, hostPort, hostIp), protocol: "udp" };
}

/** A manager with a directory and a database of its own, or those of an earlier one. Not yet restored. */
export function testManager(
  execRoot: string,
  config: Partial<NetworkConfig> = {},
  poolSize = 1,
): TestManager {
  const database = openDatabase(join(execRoot, "test.db"));
  const manager = createNetworkManager({
    database,
    execRoot,
    config: { ...defaultNetworkConfig, ...config },
    poolSize,
  });
  return Object.assign(manager, {
    execRoot,
    database,
    async openContainer({
      id = newId(),
      ports = [],
      network = "bridge",
      ...endpoint
    }: ContainerOptions = {}) {
      const sandbox = await manager.open({
        containerId: id,
        containerName: `name-${id.slice(0, 6)}`,
        mode: "bridge",
        endpoints: [{ network, aliases: [], ...endpoint }],
        ports,
      });
      return { ...sandbox, netns: sandbox.path };
    },
  });
}

function namespaceFiles(directory: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${directory}/`) && path.includes("/netns/"));
}

/** Everything in this namespace, and of this process, that a manager could leave behind. */
export function traces(directory: string): {
  links: string[];
  tables: string[];
  mounts: string[];
  sockets: number;
} {
  using route = RouteSocket.open();
  const fds = readdirSync("/proc/self/fd").length;
  return {
    links: route.links().map(({ name }) => name),
    tables: nftList("list tables", "list tables").map((entry) => String(entry["table"]?.["name"])),
    mounts: namespaceFiles(directory),
    sockets: fds,
  };
}

export function flushRuleset(): void {
  nft("flush the ruleset", "flush ruleset");
}
