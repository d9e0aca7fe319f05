import { settle } from "../../../compose/dependency-order.ts";
import { reported } from "../../../compose/progress.ts";
import { composeCommand } from "../app.ts";
import { containersOf } from "../containers.ts";

export default composeCommand({
  name: "kill",
  usage: "[OPTIONS] [SERVICE...]",
  short: "Send a signal to services, by default the one that ends them at once",
  completes: "services",
  flags: [
    {
      name: "remove-orphans",
      type: "bool",
      help: "Also end containers of services that the files no longer have",
    },
    { name: "signal", short: "s", type: "string", default: "SIGKILL", help: "Signal to send" },
  ],
  async run(app, parsed) {
    const { project, containers } = await containersOf(app, parsed.positional, {
      all: false,
      oneOff: "include",
    });
    const isOwn = (service: string): boolean => project === undefined || service in project.services;
    const wanted = containers.filter(({ service }) => parsed.bool("remove-orphans") || isOwn(service));
    if (wanted.length === 0) {
      app.say("no container to kill");
      return 0;
    }
    return await app.during("Killing", async (session) => {
      if (app.isDryRun) app.context.print(wanted.map(({ name }) => `Container ${name}  kill\n`).join(""));
      else {
        await settle(
          wanted.map(({ id, name }) =>
            reported(session.report, `Container ${name}`, ["Killing", "Killed"], () =>
              session.client.containerKill(id, parsed.string("signal")),
            ),
          ),
        );
      }
      return 0;
    });
  },
});
