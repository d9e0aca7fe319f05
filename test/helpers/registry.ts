/** Debian's docker-registry as the foreign registry, and a proxy before it that breaks things on purpose. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, run } from "./process.ts";
import { realHost, type TestHost } from "./test-host.ts";

export interface RegistryOptions {
  /** Where it runs; the machine itself without it. */
  readonly host?: TestHost;
  readonly port?: number;
  /** Line of an htpasswd file: who may use it. */
  readonly htpasswd?: string;
  /** More of its configuration, in YAML. */
  readonly config?: string;
}

export interface TestRegistry extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly address: string;
  readonly port: number;
  /** Directory with its configuration and data. */
  readonly directory: string;
}

/** True when Debian's docker-registry is installed. */
export async function hasRegistry(): Promise<boolean> {
  return (await run(["sh", "-c", "command -v docker-registry"])).code === 0;
}

/** A port that is free on this machine now. */
async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Starts a registry and waits until it answers. */
export async function startRegistry(options: RegistryOptions = {}): Promise<TestRegistry> {
  const host = options.host ?? realHost;
  const port = options.port ?? (await freePort());
  const directory = await mkdtemp(join(tmpdir(), "gantry-test-registry-"));
  const lines = [
    "version: 0.1",
    "log: {level: error, accesslog: {disabled: true}}",
    `storage: {filesystem: {rootdirectory: ${directory}/data}, delete: {enabled: true}}`,
    `http: {addr: "127.0.0.1:${port}"}`,
    options.config ?? "",
  ];
  if (options.htpasswd !== undefined) {
    await writeFile(join(directory, "htpasswd"), `${options.htpasswd}\n`);
    lines.push(`auth: {htpasswd: {realm: test, path: ${directory}/htpasswd}}`);
  }
  await writeFile(join(directory, "config.yml"), `${lines.join("\n")}\n`);
  const [program = "", ...args] = host.command(["docker-registry", "serve", join(directory, "config.yml")]);
  const child = spawn(program, args, { stdio: "ignore" });
  process.once("exit", () => child.kill("SIGKILL"));
  const probe = `exec 3<>/dev/tcp/127.0.0.1/${port}`;
  await eventually(async () => (await host.run(["bash", "-c", probe])).code === 0, {
    timeoutMs: 60_000,
    intervalMs: 30,
    what: `the registry at port ${port}`,
  });
  return {
    address: `127.0.0.1:${port}`,
    port,
    directory,
    async [Symbol.asyncDispose]() {
      await end(child);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

/** What a fault may do with a request: answer it (true), or leave it to the registry. */
export type Fault = (
  request: IncomingMessage,
  response: ServerResponse,
  forward: (change?: (chunk: Buffer, offset: number) => Buffer | "cut") => void,
) => boolean;

export interface FaultProxy extends AsyncDisposable {
  readonly address: string;
  /** Every request: `GET /v2/`. */
  readonly seen: string[];
  /** Headers of each of them. */
  readonly headers: IncomingMessage["headers"][];
  fault: Fault;
}

/** A proxy in this process before a registry on this machine. */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const seen: string[] = [];
  const headers: IncomingMessage["headers"][] = [];
  const proxy: { fault: Fault } = { fault: () => false };
  const server = createServer((incoming, response) => {
    seen.push(`${incoming.method} ${incoming.url}`);
    headers.push(incoming.headers);
    const forward = (change?: (chunk: Buffer, offset: number) => Buffer | "cut"): void =>
      pass(target, { incoming, response, change });
    if (!proxy.fault(incoming, response, forward)) forward();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    headers,
    get fault() {
      return proxy.fault;
    },
    set fault(fault) {
      proxy.fault = fault;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function pass(
  target: string,
  exchange: {
    incoming: IncomingMessage;
    response: ServerResponse;
    change: ((chunk: Buffer, offset: number) => Buffer | "cut") | undefined;
  },
): void {
  const { incoming, response, change } = exchange;
  const url = new URL(incoming.url ?? "/", `http://${target}`);
  const outgoing = request(url, { method: incoming.method, headers: incoming.headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 500, answer.headers);
    let offset = 0;
    let isCut = false;
    answer.on("data", (chunk: Buffer) => {
      const changed = change?.(chunk, offset) ?? chunk;
      offset += chunk.length;
      if (changed !== "cut") response.write(changed);
      else {
        isCut = true;
        // What was written before is let out first.
        setTimeout(() => response.destroy(), 20);
        answer.destroy();
      }
    });
    answer.on("end", () => void (isCut || response.end()));
    answer.on("error", () => response.destroy());
  });
  outgoing.on("error", () => response.destroy());
  incoming.on("error", () => outgoing.destroy());
  incoming.on("aborted", () => outgoing.destroy());
  incoming.pipe(outgoing);
}
