/**
 * Failures that are the machine's and not the request's: no room, no memory, no descriptors, a disk that fails. Whoever
 * asked gets to know what to do about it, whichever call met it.
 */
import { EngineError, type ErrorKind } from "./errors.ts";

interface MachineFault {
  readonly kind: ErrorKind;
  /** What the user can do. */
  readonly hint: string;
}

const makeRoom =
  "Make room on that file system, then try again; 'docker system df' shows what takes it, 'docker system prune' frees what nothing uses.";

const faults: Readonly<Record<string, MachineFault>> = {
  ENOSPC: { kind: "resourceExhausted", hint: makeRoom },
  EDQUOT: { kind: "resourceExhausted", hint: "Make room within the quota of that file system, or raise it." },
  EMFILE: {
    kind: "resourceExhausted",
    hint: "Raise the daemon's limit of open files (LimitNOFILE= in its systemd unit), or end clients that hold connections, then try again.",
  },
  ENFILE: {
    kind: "resourceExhausted",
    hint: "The whole machine is out of open files: raise the sysctl fs.file-max, then try again.",
  },
  ENOMEM: {
    kind: "resourceExhausted",
    hint: "Free memory on the machine, or raise the limit of the daemon's control group, then try again.",
  },
  EROFS: {
    kind: "unavailable",
    hint: "The file system can only be read. A kernel that met errors on a disk does that ('dmesg' tells): mend it, mount it for writing, then try again.",
  },
  EIO: { kind: "unavailable", hint: "The disk fails: see 'dmesg'." },
};

/** What to do about an errno that says something about the machine (`ENOSPC`); undefined for all others. */
export function machineFault(code: string): MachineFault | undefined {
  return faults[code];
}

/**
 * The EngineError for what one of Node's own functions threw, when the machine is at fault; anything else as it is. The
 * text is the system's, with the path that Node names.
 */
export function asMachineFault(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof EngineError) return error;
  const { code, path } = error as { readonly code?: unknown; readonly path?: unknown };
  const fault = typeof code === "string" ? machineFault(code) : undefined;
  if (fault === undefined) return error;
  // Node writes `ENOSPC: no space left on device, write`.
  const [, words = error.message, call = ""] = /^[A-Z]+: ([^,]+)(?:, (.*))?$/.exec(error.message) ?? [];
  const asked = call === "" ? (typeof path === "string" ? path : "") : call;
  return new EngineError(fault.kind, `${asked === "" ? "" : `${asked}: `}${words} (${String(code)})`, {
    hint: fault.hint,
    cause: error,
  });
}
