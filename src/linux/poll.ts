/**
 * Readiness of a descriptor on Node's own event loop, for kinds of descriptors that Node has no class for: pidfds,
 * SOCK_SEQPACKET sockets, pipes that this process made itself.
 */
import koffi from "koffi";

/** Which events are waited for. */
export interface PollInterest {
  readonly readable: boolean;
  readonly writable: boolean;
}

/** A running watch. Close it before the descriptor. */
export interface FdPoll {
  /** Changes what is waited for; nothing at all pauses the watch. */
  want(interest: PollInterest): void;
  close(): void;
}

type RawCallback = (status: number, events: { readable: boolean; writable: boolean }) => void;

/**
 * Calls `handler` while `fd` is ready (level-triggered, at most once a turn of the loop). The descriptor becomes
 * non-blocking. The handler runs in the check phase: promises and nextTick do not run straight after the native
 * callback, they do after an immediate. An error of the descriptor counts as ready for both: the next read tells it.
 */
export function pollFd(
  fd: number,
  interest: PollInterest,
  handler: (ready: { readable: boolean; writable: boolean }) => void,
): FdPoll {
  let closed = false;
  let wanted = interest;
  let readable = false;
  let writable = false;
  let scheduled = false;
  const run = (): void => {
    scheduled = false;
    const ready = { readable: readable && wanted.readable, writable: writable && wanted.writable };
    readable = false;
    writable = false;
    if (!closed && (ready.readable || ready.writable)) handler(ready);
  };
  const callback: RawCallback = (status, events) => {
    if (status < 0) {
      readable = true;
      writable = true;
    } else {
      readable ||= events.readable;
      writable ||= events.writable;
    }
    if (scheduled) return;
    scheduled = true;
    setImmediate(run);
  };
  // The package's types name one argument; the native code passes status and events.
  const native = callback as unknown as (events: {
    readable: boolean;
    writable: boolean;
    disconnect: boolean;
  }) => void;
  const handle = koffi.node.poll(fd, { ...wanted }, native);
  return {
    want(next) {
      if (closed || (next.readable === wanted.readable && next.writable === wanted.writable)) return;
      wanted = next;
      if (next.readable || next.writable) handle.start({ ...next }, native);
      else handle.stop();
    },
    close() {
      if (closed) return;
      closed = true;
      handle.close();
    },
  };
}
