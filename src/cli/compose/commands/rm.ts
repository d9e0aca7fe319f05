import { stopProject } from "../../../compose/act/stop-project.ts";
import { settle } from "../../../compose/dependency-order.ts";
import { reported } from "../../../compose/progress.ts";
import { confirm } from "../../prune.ts";
import { composeCommand } from "../app.ts";
import { containersOf } from "../containers.ts";

export default composeCommand({
  name: "rm",
  usage: "[OPTIONS] [SERVICE...]",
  short: "Remove containers of services that are stopped",
  long: "Removes containers of services that are stopped. Volumes without a name stay unless -v is given; what a program wrote into no volume is gone with its container.",
  completes: "services",
  flags: [
    { name: "force", short: "f", type: "bool", help: "Do not ask" },
    { name: "stop", short: "s", type: "bool", help: "Stop the containers first" },
    { name: "volumes", short: "v", type: "bool", help: "Also remove their volumes without a name" },
    { name: "all", short: "a", type: "bool", help: "Another word for what is done anyway", hidden: true },
  ],
  async run(app, parsed) {
    const first = await containersOf(app, parsed.positional);
    if (parsed.bool("stop") && !app.isDryRun) {
      await app.during("Stopping", (session) =>
        stopProject(session, first.project ?? { name: first.name }, { services: parsed.positional }),
      );
    }
    const { containers } = parsed.bool("stop") ? await containersOf(app, parsed.positional) : first;
    const stopped = containers.filter(
      ({ state }) => state !== "running" || (parsed.bool("stop") && app.isDryRun),
    );
    if (stopped.length === 0) {
      app.say("No stopped containers");
      return 0;
    }
    const message = `Going to remove ${stopped.map(({ name }) => name).join(", ")}`;
    if (app.isDryRun) {
      app.context.print(`${message}\n`);
      return 0;
    }
    if (parsed.bool("force")) app.context.print(`${message}\n`);
    else if (!(await confirm(app.context, `${message}\nAre you sure? [y/N] `))) return 0;
    return await app.during("Removing", async (session) => {
      const query = { volumes: parsed.bool("volumes"), force: parsed.bool("force") };
      await settle(
        stopped.map(({ id, name }) =>
          reported(session.report, `Container ${name}`, ["Removing", "Removed"], () =>
            session.client.containerRemove(id, query),
          ),
        ),
      );
      return 0;
    });
  },
});
