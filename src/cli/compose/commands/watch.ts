import { startProject } from "../../../compose/act/start.ts";
import { createProject } from "../../../compose/up.ts";
import { watchTriggers } from "../../../compose/watch-triggers.ts";
import { composeCommand } from "../app.ts";
import { buildOptions } from "../build-output.ts";
import { watchProject } from "../watch-project.ts";

export default composeCommand({
  name: "watch",
  usage: "[OPTIONS] [SERVICE...]",
  short: "Follow changes of sources: copy them into containers, or build and start anew",
  completes: "services",
  flags: [
    { name: "no-up", type: "bool", help: "Do not build and start the services first" },
    { name: "prune", type: "bool", help: "Remove images that builds have replaced" },
    { name: "quiet", type: "bool", help: "Do not show what builds say" },
  ],
  async run(app, parsed) {
    const project = app.project(parsed.positional);
    // What cannot be watched is told before anything is started.
    watchTriggers(project, (message) => app.warn(message));
    if (!parsed.bool("no-up") && !app.isDryRun) {
      await app.during("Running", async (session) => {
        const { containers } = await createProject(session, project, {
          services: parsed.positional,
          recreate: "diverged",
          recreateDependencies: "diverged",
          removeOrphans: false,
          renewVolumes: false,
          build: true,
          buildOptions: buildOptions(app, parsed.bool("quiet")),
        });
        await startProject(session, project, containers);
      });
    }
    const abort = new AbortController();
    const stop = (): void => abort.abort();
    process.on("SIGINT", stop).on("SIGTERM", stop);
    try {
      await watchProject(app, project, {
        signal: abort.signal,
        isQuiet: parsed.bool("quiet"),
        isPruning: parsed.bool("prune"),
      });
    } finally {
      process.off("SIGINT", stop).off("SIGTERM", stop);
    }
    return 130;
  },
});
