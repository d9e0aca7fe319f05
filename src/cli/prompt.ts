/** Asking the person at the terminal. */
import { isatty } from "node:tty";
import type { CommandContext } from "./command.ts";
import { CliError } from "./errors.ts";
import { rawTerminal } from "./terminal.ts";

const enter = /^[\r\n]$/;

/**
 * Asks for a line; what is typed is not shown when it is a secret. Throws `CliError` off a terminal, and with exit code
 * 130 for `^C`.
 */
export async function promptLine(
  context: CommandContext,
  question: string,
  { secret }: { secret: boolean },
): Promise<string> {
  if (!isatty(0)) throw new CliError("Error: Cannot perform an interactive login from a non TTY device");
  context.print(question);
  using _terminal = rawTerminal(context);
  let line = "";
  try {
    for await (const chunk of context.stdin.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      for (const character of chunk.toString("utf8")) {
        if (enter.test(character)) return line;
        if (character === "\u0003") throw new CliError("", 130);
        if (character === "\u0004" && line === "") return line;
        if (character === "\u007F" || character === "\b") {
          if (line !== "" && !secret) context.print("\b \b");
          line = Array.from(line).slice(0, -1).join("");
        } else {
          line += character;
          if (!secret) context.print(character);
        }
      }
    }
    return line;
  } finally {
    context.stdin.pause();
    context.print("\r\n");
  }
}

/** All of standard input as a secret, without the line's end. */
export async function readSecret(context: CommandContext): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of context.stdin as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks)
    .toString("utf8")
    .replace(/\r?\n$/, "");
}
