/**
 * The protocols between a service manager (systemd, or who speaks as it does) and a service that it starts: sockets that
 * are handed over (sd_listen_fds(3)) and notices of the service's state (sd_notify(3)). Both come in the environment.
 */
import { errorText } from "../base/errors.ts";
import type { InheritedSocket } from "../base/inherited-socket.ts";
import { log } from "../base/log.ts";
import { fcntl, libc } from "./libc.ts";
import { UnixDatagram } from "./unix-datagram.ts";

const firstDescriptor = 3;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const SOL_SOCKET = 1;
const SO_DOMAIN = 39;
const AF_UNIX = 1;

/** How long a notice may wait for room in the manager's queue. */
const longestNoticeMs = 5_000;

const getsockoptCall = libc.func("int getsockopt(int fd, int level, int option, void *value, void *length)");

/** What a service says of itself (sd_notify(3)). */
export type ServiceState = "ready" | "reloading" | "stopping";

export interface ServiceManager {
  /** In the order of the unit's `Listen…=` lines; empty without socket activation. */
  readonly sockets: readonly InheritedSocket[];
  /** Tells the manager, if there is one that wants to know. Never throws: a manager that is gone stops no service. */
  notify(state: ServiceState): Promise<void>;
}

/**
 * Reads what a service manager has for this process, and takes it out of `environment`: a runtime that found it there would
 * pass the sockets and the way of notices on to containers. Of variables for another process (`LISTEN_PID`) the sockets
 * are nobody's here.
 */
export function takeServiceManager(environment: NodeJS.ProcessEnv = process.env): ServiceManager {
  const { NOTIFY_SOCKET: address, LISTEN_PID: pid, LISTEN_FDS: count } = environment;
  for (const name of ["NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"])
    delete environment[name];
  const sockets = Number(pid) === process.pid ? inheritedSockets(Number(count)) : [];
  return { sockets, notify: (state) => notify(address, state) };
}

function inheritedSockets(count: number): InheritedSocket[] {
  const sockets: InheritedSocket[] = [];
  for (let fd = firstDescriptor; fd < firstDescriptor + count; fd++) {
    const domain = socketDomain(fd);
    if (domain === undefined) log.warn("the service manager handed over what is no socket", { fd });
    else sockets.push({ fd, isUnix: domain === AF_UNIX });
    fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  return sockets;
}

/** The address family of a socket; undefined for a descriptor that is none. */
function socketDomain(fd: number): number | undefined {
  const value = Buffer.alloc(4);
  const length = new Uint32Array([value.length]);
  return getsockoptCall(fd, SOL_SOCKET, SO_DOMAIN, value, length) === 0 ? value.readInt32LE() : undefined;
}

async function notify(address: string | undefined, state: ServiceState): Promise<void> {
  if (address === undefined || address === "") return;
  // A manager that does not read holds up nobody.
  const late = AbortSignal.timeout(longestNoticeMs);
  // A reload is told with the time of its beginning: notices are ordered by it.
  const stamp = state === "reloading" ? `\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}` : "";
  try {
    using socket = UnixDatagram.connect(address);
    await socket.send(Buffer.from(`${state.toUpperCase()}=1${stamp}`), late);
  } catch (error) {
    log.warn("the service manager could not be told", { state, error: errorText(error) });
  }
}
