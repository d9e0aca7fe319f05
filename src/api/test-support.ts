/** What the tests of this folder share: an API over a fake engine on a real socket, and a raw client. */
import { mkdtempSync, rmSync } from "node:fs";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Builder } from "../build/build.ts";
import type { Engine } from "../engine/engine.ts";
import { type ApiServer, type ApiServerOptions, createApiServer } from "./server.ts";

export interface TestApi extends AsyncDisposable {
  readonly api: ApiServer;
  readonly socketPath: string;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  /** A raw connection; half-open, as Docker's clients keep it. */
  connect(): Socket;
}

export interface CallOptions {
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON. */
  json(): unknown;
}

/** An engine that can do what `methods` say, and fails loudly at anything else. */
export function fakeEngine(methods: Partial<Engine>): Engine {
  return new Proxy(methods, {
    get: (target, name) =>
      Reflect.get(target, name) ??
      (() => {
        throw new Error(`the test's engine has no ${String(name)}`);
      }),
  }) as Engine;
}

/** A builder that can do what `methods` say, and fails loudly at anything else. */
export function fakeBuilder(methods: Partial<Builder> = {}): Builder {
  return new Proxy(methods, {
    get: (target, name) =>
      Reflect.get(target, name) ??
      (() => {
        throw new Error(`the test's builder has no ${String(name)}`);
      }),
  }) as Builder;
}

/** Starts an API over `methods` on a unix socket of its own. */
export async function startApi(
  methods: Partial<Engine>,
  builder: Partial<Builder> = {},
  options: Pick<ApiServerOptions, "headersTimeoutMs"> = {},
): Promise<TestApi> {
  const directory = mkdtempSync(join(tmpdir(), "gantry-api-"));
  const socketPath = join(directory, "api.sock");
  const api = createApiServer({
    engine: fakeEngine(methods),
    builder: fakeBuilder(builder),
    versionInfo: { version: "0.1.0" },
    ...options,
  });
  await api.listen([`unix://${socketPath}`]);
  return {
    api,
    socketPath,
    call: (method, path, options) => call(socketPath, method, path, options),
    connect: () => connect({ path: socketPath, allowHalfOpen: true }),
    [Symbol.asyncDispose]: async () => {
      await api.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function call(socketPath: string, method: string, path: string, options: CallOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...(options.body === undefined
        ? {}
        : { "content-type": "application/json", "content-length": String(Buffer.byteLength(options.body)) }),
      ...options.headers,
    };
    const request = httpRequest({ socketPath, method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          json: () => JSON.parse(text) as unknown,
        });
      });
    });
    request.on("error", reject);
    request.end(options.body);
  });
}

/** Everything that `socket` receives until the other side ends. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await new Promise<void>((resolve, reject) => socket.once("end", resolve).once("error", reject));
  return Buffer.concat(chunks);
}

/** Reads until what was received contains `text`. */
export function readUntil(socket: Socket, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = "";
    const onEnd = (): void => reject(new Error(`ended before ${text}: ${received}`));
    const onData = (chunk: Buffer): void => {
      received += chunk.toString("latin1");
      if (!received.includes(text)) return;
      socket.off("data", onData).off("end", onEnd);
      resolve(received);
    };
    socket.on("data", onData).once("end", onEnd);
  });
}

/** Records the calls of a method, and answers each with `result`. */
export function recorder<T>(result: T): { calls: unknown[][]; method: (...args: never[]) => Promise<T> } {
  const calls: unknown[][] = [];
  return {
    calls,
    method: async (...args: unknown[]) => {
      calls.push(args);
      return result;
    },
  };
}
