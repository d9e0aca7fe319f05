/** Opening the line to a daemon: a unix socket, TCP, TCP with TLS, or the input and output of `ssh`. */
import type { ConnectionOptions } from "node:tls";
import { connect, createServer, type Socket } from "node:net";
import { connectFailure, ConnectionError } from "./errors.ts";
import type { Host } from "./host.ts";

/** How a TCP connection is encrypted; texts in PEM. */
export interface ClientTls {
  /** Authority that the daemon's certificate must be of; the system's when undefined. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** The daemon's certificate is not looked at. */
  readonly skipVerify?: boolean | undefined;
}

/** Opens a connection that can be half-closed. Throws {@link ConnectionError}. */
export async function dial(host: Host, tls: ClientTls | undefined, signal?: AbortSignal): Promise<Socket> {
  signal?.throwIfAborted();
  if (host.kind === "ssh") return await dialSsh(host);
  if (host.kind === "tcp" && tls !== undefined) return await dialTls(host, tls, signal);
  const where = host.kind === "unix" ? { path: host.path } : { host: host.hostname, port: host.port };
  const socket = connect({ ...where, allowHalfOpen: true, noDelay: true });
  return await opened(socket, "connect", { host, signal });
}

async function dialTls(
  host: Host & { kind: "tcp" },
  tls: ClientTls,
  signal: AbortSignal | undefined,
): Promise<Socket> {
  const { connect: connectTls } = await import("node:tls");
  const { isIP } = await import("node:net");
  try {
    // allowHalfOpen is taken by the socket below; the types of tls.connect leave it out.
    const options: ConnectionOptions & { allowHalfOpen: boolean } = {
      host: host.hostname,
      port: host.port,
      ...(isIP(host.hostname) === 0 ? { servername: host.hostname } : {}),
      ...(tls.ca === undefined ? {} : { ca: tls.ca }),
      ...(tls.cert === undefined ? {} : { cert: tls.cert }),
      ...(tls.key === undefined ? {} : { key: tls.key }),
      rejectUnauthorized: tls.skipVerify !== true,
      minVersion: "TLSv1.2",
      allowHalfOpen: true,
    };
    const socket = connectTls(options);
    socket.setNoDelay(true);
    return await opened(socket, "secureConnect", { host, signal });
  } catch (error) {
    if (error instanceof ConnectionError || signal?.aborted === true) throw error;
    const { message } = error as Error;
    throw new ConnectionError(
      "EPROTO",
      `Cannot use the certificate or key for ${host.url}: ${message}`,
      error,
    );
  }
}

function opened(
  socket: Socket,
  event: "connect" | "secureConnect",
  { host, signal }: { readonly host: Host; readonly signal: AbortSignal | undefined },
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      socket.destroy();
      reject(signal!.reason as Error);
    };
    const onError = (error: Error): void => {
      signal?.removeEventListener("abort", onAbort);
      reject(connectFailure(host, error));
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    socket.once("error", onError);
    socket.once(event, () => {
      signal?.removeEventListener("abort", onAbort);
      socket.off("error", onError);
      resolve(socket);
    });
  });
}

/**
 * What runs on the other machine: gantry, else docker, as the daemon's neighbour. `dial-stdio` joins its input and output with
 * the daemon's socket.
 */
function remoteCommand(path: string): string {
  const host = path === "" ? "" : ` -H 'unix://${path.replaceAll("'", `'\\''`)}'`;
  const dialStdio = `${host} system dial-stdio`;
  return `command -v gantry >/dev/null 2>&1 && exec gantry${dialStdio}; exec docker${dialStdio}`;
}

/** The arguments of `ssh` for an address. */
function sshArguments(host: Host & { kind: "ssh" }): string[] {
  return [
    ...(host.user === "" ? [] : ["-l", host.user]),
    ...(host.port === undefined ? [] : ["-p", String(host.port)]),
    "-o",
    "ConnectTimeout=30",
    "-T",
    "--",
    host.hostname,
    remoteCommand(host.path),
  ];
}

const sshEnds = new WeakMap<Socket, () => Promise<string | undefined>>();

/** Why a line that broke did so, as far as something is known beside the break itself. */
export async function breakReason(socket: Socket): Promise<string | undefined> {
  return await sshEnds.get(socket)?.();
}

/**
 * Starts the system's `ssh` with one end of a socket as its input and output, and returns the other end: a socket like any
 * other, which can be half-closed and does not keep the process alive while it is idle.
 */
async function dialSsh(host: Host & { kind: "ssh" }): Promise<Socket> {
  const { spawn } = await import("node:child_process");
  const { randomUUID } = await import("node:crypto");
  const path = `\0gantry-ssh-${randomUUID()}`;
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  await new Promise<void>((resolve) => void server.listen(path, resolve));
  const theirs = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const socket = connect({ path, allowHalfOpen: true });
  const far = await theirs;
  server.close();
  const child = spawn("ssh", sshArguments(host), { stdio: [far, far, "pipe"] });
  far.destroy();
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4096)));
  const ended = new Promise<string | undefined>((resolve) => {
    child.on("error", (error) => resolve(`ssh cannot be started: ${error.message}`));
    child.on("close", (code) => {
      const words = said === "" ? "" : `: ${said.trim()}`;
      resolve(code === 0 ? undefined : `ssh ended with exit code ${code}${words}`);
    });
  });
  sshEnds.set(socket, () => {
    // Whoever waits for it keeps the process alive.
    child.ref();
    (child.stderr as unknown as Socket).ref();
    return ended;
  });
  socket.on("close", () => child.kill());
  child.unref();
  (child.stderr as unknown as Socket).unref();
  return socket;
}
