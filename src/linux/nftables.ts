/**
 * nftables through libnftables (libnftables(3)): commands in nft(8)'s own language, each call one transaction, so that
 * all of it takes effect at once or nothing does. Works on the network namespace in which the first call is made.
 */
import koffi from "koffi";
import { EngineError, errorText, type ErrorKind, isKind } from "../base/errors.ts";
import { inNetns } from "./netns.ts";

interface Library {
  /** Of the namespace of the first call. */
  readonly context: unknown;
  readonly newContext: () => unknown;
  readonly freeContext: (context: unknown) => void;
  readonly run: (context: unknown, commands: string) => number;
  readonly output: (context: unknown) => string | null;
  readonly error: (context: unknown) => string | null;
  readonly setFlags: (context: unknown, flags: number) => void;
}

const NFT_CTX_OUTPUT_JSON = 1 << 4;

let loaded: Library | undefined;

function library(): Library {
  if (loaded !== undefined) return loaded;
  try {
    const nftables = koffi.load("libnftables.so.1");
    const bufferOutput = nftables.func("int nft_ctx_buffer_output(void *ctx)");
    const bufferError = nftables.func("int nft_ctx_buffer_error(void *ctx)");
    const allocate = nftables.func("void *nft_ctx_new(uint32_t flags)");
    const newContext = (): unknown => {
      const context: unknown = allocate(0);
      if (context === null) throw new Error("nft_ctx_new gave no context");
      bufferOutput(context);
      bufferError(context);
      return context;
    };
    loaded = {
      context: newContext(),
      newContext,
      freeContext: nftables.func("void nft_ctx_free(void *ctx)"),
      run: nftables.func("int nft_run_cmd_from_buffer(void *ctx, str buf)"),
      output: nftables.func("str nft_ctx_get_output_buffer(void *ctx)"),
      error: nftables.func("str nft_ctx_get_error_buffer(void *ctx)"),
      setFlags: nftables.func("void nft_ctx_output_set_flags(void *ctx, uint32_t flags)"),
    };
    return loaded;
  } catch (error) {
    throw new EngineError("unavailable", `firewall rules need libnftables: ${errorText(error)}`, {
      hint: "install the package libnftables1, or start the daemon with --iptables=false",
      cause: error,
    });
  }
}

/** False on a machine without libnftables. */
export function hasNftables(): boolean {
  try {
    library();
    return true;
  } catch (error) {
    if (isKind(error, "unavailable")) return false;
    throw error;
  }
}

/** The errno sentences that the kernel's refusals come with, and their kinds. */
const kinds: Readonly<Record<string, ErrorKind>> = {
  "No such file or directory": "notFound",
  "File exists": "alreadyExists",
  "Operation not permitted": "permissionDenied",
  "Device or resource busy": "conflict",
  "Operation not supported": "notImplemented",
  "Protocol not supported": "notImplemented",
  "No buffer space available": "resourceExhausted",
  "Cannot allocate memory": "resourceExhausted",
  "Too many open files in system": "resourceExhausted",
};

/**
 * The error for what libnftables wrote: the first `Error:` sentence and the line that it points at. A text looks like
 * `internal:0:0-0: Error: Could not process rule: File exists` or `<cmdline>:1:5-9: Error: syntax error, …`.
 */
export function parseNftError(what: string, output: string): EngineError {
  const lines = output.split("\n");
  const at = lines.findIndex((line) => line.includes("Error: "));
  const sentence = at === -1 ? output.trim() : (lines[at]?.replace(/^.*?Error: /, "") ?? "");
  const source = at === -1 ? "" : (lines[at + 1] ?? "").trim();
  const reason = sentence.slice(sentence.lastIndexOf(": ") + 1).trim();
  const message = `${what}: ${sentence || "nftables gave no reason"}${source === "" ? "" : ` in "${source}"`}`;
  return new EngineError(kinds[reason] ?? "internal", message);
}

/** Somebody else changed the ruleset between our look at it and our change: it is to be tried again. */
const isRace = (output: string): boolean =>
  /Interrupted system call|Resource temporarily unavailable|cache initialization failed: (?:Interrupted|Resource)/.test(
    output,
  );

function runOnce(
  commands: string,
  flags: number,
  context: unknown = library().context,
): { ok: boolean; output: string; error: string } {
  const nft = library();
  nft.setFlags(context, flags);
  const ok = nft.run(context, commands) === 0;
  return { ok, output: nft.output(context) ?? "", error: nft.error(context) ?? "" };
}

function run(what: string, commands: string, flags: number): string {
  for (let attempt = 1; ; attempt++) {
    const result = runOnce(commands, flags);
    if (result.ok) return result.output;
    if (attempt >= 20 || !isRace(result.error)) throw parseNftError(what, result.error);
  }
}

/**
 * Runs commands (one a line, or a whole `table … { … }` block) as one transaction; about half a millisecond. `what` says
 * what is being done, for the error. Nothing a user wrote may get into `commands` unchecked.
 */
export function nft(what: string, commands: string): void {
  run(what, commands, 0);
}

/** As {@link nft}, in the network namespace that is bound to `path`. */
export function nftInNetns(what: string, path: string, commands: string): void {
  // The one of the host is made there, whoever comes first.
  const { newContext, freeContext } = library();
  inNetns(path, () => {
    const context = newContext();
    try {
      const result = runOnce(commands, 0, context);
      if (!result.ok) throw parseNftError(what, result.error);
    } finally {
      freeContext(context);
    }
  });
}

/** Runs `list …` and gives what it prints, in nft(8)'s own language. */
export function nftText(what: string, command: string): string {
  return run(what, command, 0);
}

/** Runs `list …` and gives the objects of its JSON output (libnftables-json(5)), without the `metainfo` one. */
export function nftList(what: string, command: string): Record<string, Record<string, unknown>>[] {
  const output = run(what, command, NFT_CTX_OUTPUT_JSON);
  const parsed = JSON.parse(output === "" ? '{"nftables":[]}' : output) as {
    nftables: Record<string, Record<string, unknown>>[];
  };
  return parsed.nftables.filter((entry) => !("metainfo" in entry));
}
