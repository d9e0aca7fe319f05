/** The sockets that the API listens on. */
import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, unlinkSync } from "node:fs";
import type { Server } from "node:http";
import { connect } from "node:net";
import { dirname } from "node:path";
import { EngineError, errorText, invalidArgument, notFound } from "../base/errors.ts";
import type { InheritedSocket } from "../base/inherited-socket.ts";
import type { log as daemonLog } from "../base/log.ts";

const defaultTcpPort = 2375;
const defaultTlsPort = 2376;
/** A daemon that lives answers a connection at once; one that hangs is not a reason to wait for ever. */
const probeTimeoutMs = 2_000;

/** Texts in PEM for TCP sockets. */
export interface ServerTls {
  readonly cert: string;
  readonly key: string;
  /** Authority of clients: with it only those with a certificate of its are served. */
  readonly clientCa: string | undefined;
}

export interface ListenOptions {
  /** Encryption of TCP sockets; unix sockets are never encrypted. */
  readonly tls?: ServerTls | undefined;
  /** Name or number of the group that may use unix sockets. Root's when undefined. */
  readonly group?: string | undefined;
  /** Listening sockets that this process was started with, for `fd://`. */
  readonly inherited?: readonly InheritedSocket[];
}

export type ListenAddress =
  | { readonly type: "unix"; readonly path: string }
  | { readonly type: "tcp"; readonly host: string; readonly port: number }
  /** Without a descriptor's number: all that were inherited. */
  | { readonly type: "fd"; readonly fd: number | undefined };

const forms = "an address is unix:///path/to/socket, tcp://host:port or fd://";

/**
 * Reads `unix:///path`, `tcp://host:port` (`tcp://` alone is 127.0.0.1:2375, with TLS 2376) or `fd://` (`fd://N` for one
 * descriptor). Throws `invalidArgument`.
 */
export function parseListenAddress(spec: string, hasTls = false): ListenAddress {
  if (spec.startsWith("unix://")) {
    const path = spec.slice("unix://".length);
    if (path.startsWith("/")) return { type: "unix", path };
    throw invalidArgument(`cannot listen on "${spec}": the path of a unix socket must be absolute`);
  }
  const inherited = /^fd:\/\/(\*|\d{1,9})?$/.exec(spec);
  if (inherited !== null) {
    const [, number = "*"] = inherited;
    return { type: "fd", fd: number === "*" ? undefined : Number(number) };
  }
  const match = /^tcp:\/\/(\[[0-9a-f:.%]+\]|[^:/[\]]*)(?::(\d{1,5}))?\/?$/i.exec(spec);
  const port = Number(match?.[2] ?? (hasTls ? defaultTlsPort : defaultTcpPort));
  if (match === null || port > 65535) {
    throw invalidArgument(`cannot listen on "${spec}": ${forms}`);
  }
  const host = match[1]!.replace(/^\[|\]$/g, "");
  return { type: "tcp", host: host === "" ? "127.0.0.1" : host, port };
}

/**
 * Puts an address of its own in the place of `fd://`, for each socket that was inherited. Throws `unavailable` when there
 * is none, or not the one that is named.
 */
export function expandInherited(
  specs: readonly string[],
  inherited: readonly InheritedSocket[] = [],
): string[] {
  return specs.flatMap((spec) => {
    const address = spec.startsWith("fd:") ? parseListenAddress(spec) : undefined;
    if (address?.type !== "fd") return [spec];
    const wanted = inherited.filter(({ fd }) => address.fd === undefined || fd === address.fd);
    if (wanted.length === 0)
      throw new EngineError(
        "unavailable",
        inherited.length === 0
          ? `cannot listen on ${spec}: no sockets found via socket activation: make sure the service was started by systemd`
          : `cannot listen on ${spec}: the service manager handed over the descriptors ${inherited.map(({ fd }) => fd).join(", ")}`,
        { hint: "Give the service a socket unit, or name an address with --host unix:///path/to/socket." },
      );
    return wanted.map(({ fd }) => `fd://${fd}`);
  });
}

/** Whether a connection to an address can be encrypted: those of unix sockets never are. */
export function canEncrypt(spec: string, inherited: readonly InheritedSocket[] = []): boolean {
  if (spec.startsWith("unix:")) return false;
  return !inherited.some(({ fd, isUnix }) => isUnix && spec === `fd://${fd}`);
}

/**
 * Makes `server` listen on `spec` and returns the address with the real port. Throws `unavailable` when somebody else
 * has it.
 */
export async function openListener(
  server: Server,
  spec: string,
  options: ListenOptions & { readonly log: typeof daemonLog },
): Promise<string> {
  const address = parseListenAddress(spec, options.tls !== undefined);
  if (address.type === "unix") {
    await listenUnix(server, address.path, options.group);
    return spec;
  }
  const where = address.type === "fd" ? { fd: address.fd } : { host: address.host, port: address.port };
  await listening(server, spec, () => server.listen(where));
  const bound = server.address();
  // A unix socket that was inherited.
  if (bound === null || typeof bound === "string") return spec;
  const isOpenToAll = options.tls?.clientCa === undefined;
  if (isOpenToAll && !isLoopback(bound.address)) {
    const missing = options.tls === undefined ? "encryption or authentication" : "authentication of clients";
    options.log.warn(`API is reachable over the network without ${missing}`, {
      address: spec,
      consequence: "whoever reaches it is root on this host",
      remedy: "use --tlsverify with --tlscacert, --tlscert and --tlskey",
    });
  }
  return `tcp://${bound.family === "IPv6" ? `[${bound.address}]` : bound.address}:${bound.port}`;
}

/** Stops accepting, and resolves when all connections have ended. Node removes a socket's file. */
export async function closeListener(server: Server): Promise<void> {
  await new Promise<void>((resolve) => void server.close(() => resolve()));
}

async function listenUnix(server: Server, path: string, group: string | undefined): Promise<void> {
  const groupId = group === undefined ? 0 : resolveGroup(group);
  mkdirSync(dirname(path), { recursive: true });
  await removeStaleSocket(path);
  await listening(server, `unix://${path}`, () => {
    // The file must never be open to others, also not between its making and the chmod below.
    const umask = process.umask(0o177);
    try {
      server.listen(path);
    } finally {
      process.umask(umask);
    }
  });
  chownSync(path, process.getuid?.() ?? 0, groupId);
  chmodSync(path, 0o660);
}

/** Removes a socket that a daemon left behind; throws when there is something else, or somebody answers. */
async function removeStaleSocket(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) {
    throw new EngineError(
      "unavailable",
      `cannot listen on unix://${path}: a file that is no socket is there`,
    );
  }
  if (await isAnswering(path)) {
    throw new EngineError(
      "unavailable",
      `cannot listen on unix://${path}: another daemon is listening there`,
      {
        hint: "Stop it, or choose another socket with --host.",
      },
    );
  }
  unlinkSync(path);
}

function isAnswering(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (isAnswering: boolean): void => {
      socket.destroy();
      resolve(isAnswering);
    };
    socket.setTimeout(probeTimeoutMs, () => settle(true));
    socket.once("connect", () => settle(true));
    // Refused: the file is there, but nobody listens. Anything else (a full queue, say) means that somebody does.
    socket.once("error", (error: NodeJS.ErrnoException) =>
      settle(error.code !== "ECONNREFUSED" && error.code !== "ENOENT"),
    );
  });
}

function listening(server: Server, spec: string, start: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        new EngineError("unavailable", `cannot listen on ${spec}: ${errorText(error)}`, { cause: error }),
      ),
    );
    server.once("listening", () => {
      server.removeAllListeners("error");
      server.on("error", () => {});
      resolve();
    });
    start();
  });
}

/** True for a group's number, and for a name that /etc/group has. */
export const hasGroup = (group: string): boolean => findGroup(group) !== undefined;

function findGroup(group: string): number | undefined {
  if (/^\d+$/.test(group)) return Number(group);
  for (const line of readFileSync("/etc/group", "utf8").split("\n")) {
    const [name, , id] = line.split(":");
    if (name === group && id !== undefined) return Number(id);
  }
  return undefined;
}

/** Number of a group, given as number or as a name of /etc/group. Throws `notFound`. */
function resolveGroup(group: string): number {
  const id = findGroup(group);
  if (id !== undefined) return id;
  throw notFound(`group ${group} of the API's socket does not exist in /etc/group`, {
    hint: "Create it with groupadd, or choose another with --group.",
  });
}

function isLoopback(host: string): boolean {
  return host === "::1" || /^(::ffff:)?127\./.test(host);
}
