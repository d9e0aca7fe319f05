import { down, isEmptyDown, planDown, type DownPlan } from "../../../compose/act/down.ts";
import { composeCommand, oneOf, timeoutFlag, timeoutOf } from "../app.ts";

export default composeCommand({
  name: "down",
  usage: "[OPTIONS] [SERVICE...]",
  short: "Stop and remove containers and networks",
  completes: "services",
  flags: [
    {
      name: "remove-orphans",
      type: "bool",
      help: "Also remove containers of services that the files no longer have",
    },
    {
      name: "rmi",
      type: "string",
      placeholder: "WHICH",
      help: "Also remove images: local (those that were built and have no name of their own) or all",
      validate: oneOf("local", "all"),
    },
    timeoutFlag,
    {
      name: "volumes",
      short: "v",
      type: "bool",
      help: "Also remove the volumes of the files, and those without a name",
    },
  ],
  async run(app, parsed) {
    const { project, name } = app.projectOrName();
    const options = {
      services: parsed.positional,
      volumes: parsed.bool("volumes"),
      images: parsed.string("rmi") as "" | "local" | "all",
      removeOrphans: parsed.bool("remove-orphans"),
      ...timeoutOf(parsed),
    };
    for (const service of parsed.positional) {
      if (project !== undefined && project.services[service] === undefined) app.project([service]);
    }
    return await app.during("Running", async (session) => {
      const plan = await planDown(session, name, project, options);
      if (isEmptyDown(plan)) {
        app.warn(`No resource found to remove for project "${name}".`);
        return 0;
      }
      if (app.isDryRun) app.context.print(planText(plan));
      else await down(session, plan, { ...options, project });
      return 0;
    });
  },
});

function planText({ containers, orphans, networks, volumes, images }: DownPlan): string {
  const lines = [
    ...containers.map((each) => `Container ${each.name}  stop and remove`),
    ...orphans.map((each) => `Container ${each.name}  stop and remove (its service is gone)`),
    ...networks.map((each) => `Network ${each.name}  remove`),
    ...volumes.map((each) => `Volume ${each}  remove`),
    ...images.map((each) => `Image ${each}  remove`),
  ];
  return lines.map((line) => `${line}\n`).join("");
}
