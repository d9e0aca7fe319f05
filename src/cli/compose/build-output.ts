/** What builds say, and what they are told by the command line. */
import type { BuildOptions } from "../../compose/act/build.ts";
import type { ComposeApp } from "./app.ts";
import type { SessionBuildOptions } from "./session-build.ts";

/** Shows the output of builds line by line, each with its service in front. */
export function buildOptions(
  app: ComposeApp,
  isQuiet = false,
  session: Omit<SessionBuildOptions, "isQuiet"> = {},
): BuildOptions {
  const rests = new Map<string, string>();
  const { DOCKER_BUILDKIT: wanted = "" } = app.context.env;
  return {
    preferSession: wanted === "" ? undefined : wanted !== "0" && wanted !== "false",
    registries: async () => {
      const { allCredentials } = await import("../credentials.ts");
      return await allCredentials(app.context);
    },
    buildInSession: async (project, service) => {
      const { buildInSession } = await import("./session-build.ts");
      await buildInSession(app.context, project, service, { ...session, isQuiet });
    },
    onOutput: (service, text) => {
      if (isQuiet) return;
      const lines = ((rests.get(service) ?? "") + text).split("\n");
      rests.set(service, lines.pop()!);
      for (const line of lines) if (line.trim() !== "") app.say(`${service}: ${line}`);
    },
  };
}
