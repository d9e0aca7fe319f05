/** The syslog driver: lines go to the host's syslog or to one that is named. */
import { createSocket } from "node:dgram";
import { existsSync, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { hostname } from "node:os";
import { errorText } from "../../base/errors.ts";
import { UnixDatagram } from "../../linux/unix-datagram.ts";
import type { LogPosition } from "./checkpoint.ts";
import type { LogMessage } from "./message.ts";
import { syslogMessage, type SyslogShape } from "./syslog-message.ts";
import { parseSyslogAddress, type SyslogAddress, syslogFacilities } from "./syslog-options.ts";
import type { LogTarget } from "./target.ts";

/** A way to the receiver. */
interface Link extends Disposable {
  send(message: Buffer): Promise<void>;
}

/** Where the host's own syslog may listen (Go's log/syslog). */
const hostSockets = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/** How long a server may take until a connection stands, with TLS after its handshake. */
const connectTimeoutMs = 10_000;

type Options = Readonly<Record<string, string>>;

/** `signal` gives up a connection that does not stand yet. */
async function openLink(address: SyslogAddress, options: Options, signal: AbortSignal): Promise<Link> {
  switch (address.kind) {
    case "host": {
      const path = hostSockets.find((candidate) => existsSync(candidate));
      if (path === undefined) throw new Error("Unix syslog delivery error");
      try {
        return UnixDatagram.connect(path);
      } catch {
        return streamLink(connect(path), signal);
      }
    }
    case "unixgram":
      return UnixDatagram.connect(address.path);
    case "unix":
      return streamLink(connect(address.path), signal);
    case "udp":
      return udpLink(address.host, address.port);
    case "tcp":
      return streamLink(connect(address.port, address.host), signal);
    case "tcp+tls":
      // Loaded for those who use it: TLS takes megabytes of the daemon's memory.
      return streamLink(
        process
          .getBuiltinModule("node:tls")
          .connect({ host: address.host, port: address.port, ...tlsOptions(options) }),
        signal,
      );
  }
}

function tlsOptions(options: Options): Record<string, unknown> {
  const file = (name: string, key: string): Record<string, Buffer> =>
    options[name] === undefined ? {} : { [key]: readFileSync(options[name]) };
  return {
    ...file("syslog-tls-ca-cert", "ca"),
    ...file("syslog-tls-cert", "cert"),
    ...file("syslog-tls-key", "key"),
    // As with Docker the option alone asks for it, whatever its value.
    rejectUnauthorized: options["syslog-tls-skip-verify"] === undefined,
  };
}

function udpLink(host: string, port: number): Link {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  // Nobody listens: as with every syslog by UDP, the message is lost.
  socket.on("error", () => {});
  socket.unref();
  return {
    send: (message) =>
      new Promise((resolve) => {
        socket.send(message, port, host, () => resolve());
      }),
    [Symbol.dispose]: () => void socket.close(),
  };
}

/** Resolves when the connection stands. Rejects when it does not in time, or when `signal` gives it up. */
async function streamLink(socket: Socket, signal: AbortSignal): Promise<Link> {
  socket.unref();
  let failure: Error | undefined;
  const giveUp = (reason: string): void => void socket.destroy(new Error(reason));
  const abort = (): void => giveUp("the log was closed before the syslog server took it");
  signal.addEventListener("abort", abort);
  const seconds = connectTimeoutMs / 1000;
  const timer = setTimeout(
    () => giveUp(`the syslog server did not answer within ${seconds} s`),
    connectTimeoutMs,
  ).unref();
  await new Promise<void>((resolve, reject) => {
    const ready = "encrypted" in socket ? "secureConnect" : "connect";
    socket.once(ready, resolve);
    socket.on("error", (error) => {
      failure = error;
      reject(error);
    });
    socket.on("close", () => {
      failure ??= new Error("the syslog server closed the connection");
      reject(failure);
    });
  }).finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  });
  // What the server says does not matter, its end does.
  socket.resume();
  return {
    send: (message) =>
      new Promise((resolve, reject) => {
        if (failure !== undefined) reject(failure);
        else socket.write(message, (error) => (error ? reject(error) : resolve()));
      }),
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

export class SyslogTarget implements LogTarget {
  readonly mostWaitingBytes: number | undefined;
  readonly #address: SyslogAddress;
  readonly #options: Options;
  readonly #shape: SyslogShape;
  #link: Link | undefined;
  readonly #closing = new AbortController();

  constructor(options: Options, tag: string, mostWaitingBytes: number | undefined) {
    this.mostWaitingBytes = mostWaitingBytes;
    this.#options = options;
    this.#address = parseSyslogAddress(options["syslog-address"] ?? "");
    const format = options["syslog-format"] ?? "";
    const facility = options["syslog-facility"] || "daemon";
    this.#shape = {
      format,
      facility: syslogFacilities[facility] ?? Number(facility),
      hostname: hostname(),
      tag,
      pid: process.pid,
      counted: this.#address.kind === "tcp+tls" && format.startsWith("rfc5424"),
    };
  }

  /** Connects. Throws when nobody listens or answers, and when the log is closed meanwhile. */
  async connect(): Promise<void> {
    if (this.#link !== undefined) return;
    const { signal } = this.#closing;
    if (signal.aborted) throw new Error("the log was closed before the syslog server took it");
    const link = await openLink(this.#address, this.#options, signal);
    // It may have been closed meanwhile.
    if (signal.aborted) link[Symbol.dispose]();
    else this.#link = link;
  }

  open(from: LogPosition | undefined): LogPosition {
    return from ?? { rawAt: 0, sizeBytes: 0, generation: 0 };
  }

  async take(
    messages: readonly LogMessage[],
    end: number,
    note: (position: LogPosition) => void,
  ): Promise<LogPosition> {
    await this.connect();
    for (const message of messages) {
      // As with Docker an empty line is none.
      if (message.end > message.start) await this.#send(syslogMessage(message, this.#shape));
      if (message.cleanAt > 0) note({ rawAt: message.cleanAt, sizeBytes: 0, generation: 0 });
    }
    return { rawAt: end, sizeBytes: 0, generation: 0 };
  }

  /** A connection that broke is made once more. */
  async #send(bytes: Buffer): Promise<void> {
    try {
      await this.#connected().send(bytes);
    } catch {
      this.#drop();
      await this.connect();
      await this.#connected().send(bytes);
    }
  }

  #connected(): Link {
    if (this.#link === undefined) throw new Error("there is no connection to the syslog server");
    return this.#link;
  }

  #drop(): void {
    this.#link?.[Symbol.dispose]();
    this.#link = undefined;
  }

  close(): Promise<void> {
    this.#closing.abort();
    this.#drop();
    return Promise.resolve();
  }
}

/** Docker's words when a driver cannot be had. */
export function driverFailure(error: unknown): string {
  return `failed to initialize logging driver: ${errorText(error)}`;
}
