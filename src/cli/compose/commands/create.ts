import { createProject, describeProject } from "../../../compose/up.ts";
import { composeCommand } from "../app.ts";
import { buildFlags, createFlags, createOptions, scaled } from "../create-options.ts";

export default composeCommand({
  name: "create",
  usage: "[OPTIONS] [SERVICE...]",
  short: "Create containers without starting them",
  completes: "services",
  flags: [...createFlags, ...buildFlags],
  async run(app, parsed) {
    const dependencies = !parsed.bool("no-deps");
    const project = scaled(app.project(parsed.positional, { dependencies }), parsed.list("scale"));
    const options = createOptions(app, parsed, project);
    return await app.during("Creating", async (session) => {
      if (app.isDryRun) {
        const lines = await describeProject(session, project, options);
        app.context.print(lines.map((line) => `${line}\n`).join(""));
      } else await createProject(session, project, options);
      return 0;
    });
  },
});
