import { startProject } from "../../../compose/act/start.ts";
import { createProject, describeProject } from "../../../compose/up.ts";
import { CliError } from "../../errors.ts";
import { composeCommand } from "../app.ts";
import { scaled, noDepsFlag } from "../create-options.ts";

export default composeCommand({
  name: "scale",
  usage: "[OPTIONS] SERVICE=NUM [SERVICE=NUM...]",
  short: "Change how many containers services have",
  args: { min: 1 },
  flags: [noDepsFlag],
  async run(app, parsed) {
    for (const text of parsed.positional) {
      if (!text.includes("=")) throw new CliError(`invalid scale specifier: ${text}`, 1);
      if (!/=\d+$/.test(text))
        throw new CliError(`invalid scale specifier: can't parse replica value as int: ${text}`, 1);
    }
    const names = parsed.positional.map((text) => text.split("=")[0]!);
    const dependencies = !parsed.bool("no-deps");
    const project = scaled(app.project(names, { dependencies }), parsed.positional);
    const options = {
      services: names,
      recreate: "never",
      recreateDependencies: "never",
      removeOrphans: false,
      renewVolumes: false,
    } as const;
    return await app.during("Scaling", async (session) => {
      if (app.isDryRun) {
        const lines = await describeProject(session, project, options);
        app.context.print(lines.map((line) => `${line}\n`).join(""));
        return 0;
      }
      const { containers } = await createProject(session, project, options);
      await startProject(session, project, containers);
      return 0;
    });
  },
});
