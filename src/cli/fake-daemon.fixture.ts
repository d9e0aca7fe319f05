/** A daemon with canned answers on a real unix socket, and the program run against it. For tests of faults. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export type Handler = (call: FakeCall) => void | Promise<void>;

/** One request; `upgrade` hijacks its connection. */
export interface FakeCall {
  readonly request: IncomingMessage;
  /** `POST /containers/create?name=x`, without the version. */
  readonly line: string;
  readonly body: string;
  json(status: number, value: unknown): void;
  /** The response, for streams. */
  readonly response: ServerResponse;
  /** Answers 101 and returns the raw socket. */
  upgrade(): Socket;
}

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const program = join(import.meta.dirname, "../main.ts");

export class FakeDaemon implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "gantry-fake-"));
  /** Requests so far, without pings. */
  readonly lines: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #children = new Set<ChildProcess>();

  private constructor(handle: Handler) {
    this.#server = createServer((request, response) => void this.#serve(handle, request, response));
    this.#server.on("upgrade", (request, socket, head) => {
      if (head.length > 0) socket.unshift(head);
      void this.#serve(handle, request, undefined, socket as Socket);
    });
    this.#server.on("connection", (socket) => this.#sockets.add(socket));
  }

  /** Starts a daemon that answers each request with `handle`. */
  static async start(handle: Handler): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(handle);
    await new Promise<void>((resolve) => daemon.#server.listen(daemon.socket, resolve));
    return daemon;
  }

  get socket(): string {
    return join(this.directory, "fake.sock");
  }

  /** Starts the command line; its streams are pipes. Without the hyphens node takes --env-file for its own. */
  spawn(...words: string[]): ChildProcess {
    const child = spawn(process.execPath, ["--", program, ...words], {
      cwd: this.directory,
      env: { PATH: process.env["PATH"], HOME: this.directory, DOCKER_HOST: `unix://${this.socket}` },
    });
    this.#children.add(child);
    return child;
  }

  /** Runs the command line to its end. */
  async run(...words: string[]): Promise<Finished> {
    const child = this.spawn(...words);
    child.stdin!.end();
    return await finished(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) child.kill("SIGKILL");
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #serve(
    handle: Handler,
    request: IncomingMessage,
    response?: ServerResponse,
    socket?: Socket,
  ): Promise<void> {
    const url = (request.url ?? "").replace(/^\/v[\d.]+/, "");
    if (url === "/_ping") {
      response!.setHeader("Api-Version", "1.50");
      response!.end();
      return;
    }
    const line = `${request.method} ${url}`;
    this.lines.push(line);
    let body = "";
    if (socket === undefined) for await (const chunk of request) body += String(chunk);
    await handle({
      request,
      line,
      body,
      get response() {
        return response!;
      },
      json(status, value) {
        const text = JSON.stringify(value);
        const head = `HTTP/1.1 ${status} X\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n`;
        if (socket !== undefined) socket.end(head + text);
        else response!.writeHead(status, { "Content-Type": "application/json" }).end(text);
      },
      upgrade() {
        socket!.on("error", () => {});
        socket!.write("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
        return socket!;
      },
    });
  }
}

/** Collects what a program writes until it ends. */
export async function finished(child: ChildProcess): Promise<Finished> {
  const parts: { stdout: Buffer[]; stderr: Buffer[] } = { stdout: [], stderr: [] };
  child.stdout!.on("data", (chunk: Buffer) => parts.stdout.push(chunk));
  child.stderr!.on("data", (chunk: Buffer) => parts.stderr.push(chunk));
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.on("close", (exitCode, exitSignal) => resolve([exitCode, exitSignal]));
  });
  const text = (chunks: Buffer[]): string => Buffer.concat(chunks).toString();
  return { code, signal, stdout: text(parts.stdout), stderr: text(parts.stderr) };
}

/** A frame of Docker's multiplexed stream. */
export function frame(stream: 1 | 2 | 3, data: string | Buffer): Buffer {
  const payload = Buffer.from(data);
  const head = Buffer.alloc(8);
  head[0] = stream;
  head.writeUInt32BE(payload.length, 4);
  return Buffer.concat([head, payload]);
}
