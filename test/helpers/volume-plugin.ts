/**
 * A volume plugin as people write them: a server of Docker's plugin protocol on a unix socket that keeps each volume as
 * a directory and shows it under another path while somebody has it mounted.
 */
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";

interface PluginVolume {
  readonly options: Record<string, string>;
  readonly users: Set<string>;
}

interface Body {
  readonly Name: string;
  readonly ID: string;
  readonly Opts: Record<string, string> | null;
}

export class VolumePlugin implements AsyncDisposable {
  /** `Mount data`, `Unmount data`, … in the order in which they came. */
  readonly calls: string[] = [];
  readonly volumes = new Map<string, PluginVolume>();
  /** What the next request of that name fails with. */
  readonly failures = new Map<string, string>();
  readonly #directory: string;
  readonly #server: Server;

  private constructor(directory: string, server: Server) {
    this.#directory = directory;
    this.#server = server;
  }

  /** Listens on `address`: a socket's path or a TCP port of 127.0.0.1. Keeps its volumes below `directory`. */
  static async start(address: string | number, directory: string): Promise<VolumePlugin> {
    const server = createServer();
    const plugin = new VolumePlugin(directory, server);
    mkdirSync(directory, { recursive: true });
    const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const method = (request.url ?? "").slice(1);
      const answer = plugin.#answer(method, JSON.parse((await text(request)) || "{}") as Body);
      response.writeHead(answer === undefined ? 404 : 200, {
        "content-type": "application/vnd.docker.plugins.v1.2+json",
      });
      response.end(JSON.stringify(answer ?? { Err: "not found" }));
    };
    server.on("request", (request, response) => void serve(request, response));
    if (typeof address === "string") mkdirSync(dirname(address), { recursive: true });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      if (typeof address === "string") server.listen(address, resolve);
      else server.listen(address, "127.0.0.1", resolve);
    });
    return plugin;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Users of a volume that have it mounted now. */
  users(name: string): string[] {
    return [...(this.volumes.get(name)?.users ?? [])];
  }

  #view(name: string): string {
    return join(this.#directory, `view-${name}`);
  }

  #answer(method: string, body: Body): object | undefined {
    const operation = method.replace("VolumeDriver.", "");
    const { Name: name } = body;
    this.calls.push(name === undefined ? operation : `${operation} ${name}`);
    const failure = this.failures.get(operation);
    this.failures.delete(operation);
    if (failure !== undefined) return { Err: failure };
    if (method === "Plugin.Activate") return { Implements: ["VolumeDriver"] };
    if (method === "VolumeDriver.Capabilities") return { Capabilities: { Scope: "global" } };
    if (method === "VolumeDriver.List")
      return { Volumes: [...this.volumes.keys()].map((key) => this.#shown(key)), Err: "" };
    if (method === "VolumeDriver.Create") {
      mkdirSync(join(this.#directory, name), { recursive: true });
      if (!this.volumes.has(name)) this.volumes.set(name, { options: body.Opts ?? {}, users: new Set() });
      return { Err: "" };
    }
    const volume = this.volumes.get(name);
    if (volume === undefined) return { Err: `no volume ${name} here` };
    if (method === "VolumeDriver.Get")
      return { Volume: { ...this.#shown(name), Status: volume.options }, Err: "" };
    if (method === "VolumeDriver.Path")
      return { Mountpoint: volume.users.size > 0 ? this.#view(name) : "", Err: "" };
    if (method === "VolumeDriver.Remove") {
      if (volume.users.size > 0) return { Err: `volume ${name} is mounted` };
      this.volumes.delete(name);
      rmSync(join(this.#directory, name), { recursive: true });
      return { Err: "" };
    }
    if (method === "VolumeDriver.Mount") {
      if (volume.users.size === 0) symlinkSync(join(this.#directory, name), this.#view(name));
      volume.users.add(body.ID);
      return { Mountpoint: this.#view(name), Err: "" };
    }
    if (method === "VolumeDriver.Unmount") {
      volume.users.delete(body.ID);
      if (volume.users.size === 0) rmSync(this.#view(name));
      return { Err: "" };
    }
    return undefined;
  }

  #shown(name: string): object {
    return { Name: name, Mountpoint: "", CreatedAt: "2020-01-02T03:04:05Z" };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
