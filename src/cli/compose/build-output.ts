/** What builds say, and what they are told by the command line. */
import type { BuildOptions } from "../../compose/act/build.ts";
import type { ComposeApp } from "./app.ts";

/** Shows the output of builds line by line, each with its service in front. */
export function buildOptions(app: ComposeApp, isQuiet = false): BuildOptions {
  const rests = new Map<string, string>();
  return {
    onOutput: (service, text) => {
      if (isQuiet) return;
      const lines = ((rests.get(service) ?? "") + text).split("\n");
      rests.set(service, lines.pop()!);
      for (const line of lines) if (line.trim() !== "") app.say(`${service}: ${line}`);
    },
  };
}
