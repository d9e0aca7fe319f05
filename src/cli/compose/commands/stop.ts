import { stopProject } from "../../../compose/act/stop-project.ts";
import { composeCommand, timeoutFlag, timeoutOf } from "../app.ts";
import { containersOf } from "../containers.ts";

export default composeCommand({
  name: "stop",
  usage: "[OPTIONS] [SERVICE...]",
  short: "Stop services, and keep their containers",
  completes: "services",
  flags: [timeoutFlag],
  async run(app, parsed) {
    const { project, name, containers } = await containersOf(app, parsed.positional);
    return await app.during("Stopping", async (session) => {
      if (app.isDryRun) {
        const running = containers.filter(({ state }) => state === "running");
        app.context.print(running.map((each) => `Container ${each.name}  stop\n`).join(""));
      } else {
        await stopProject(session, project ?? { name }, {
          services: parsed.positional,
          ...timeoutOf(parsed),
        });
      }
      return 0;
    });
  },
});
