import { settle } from "../../../compose/dependency-order.ts";
import { reported } from "../../../compose/progress.ts";
import { composeCommand } from "../app.ts";
import { containersOf } from "../containers.ts";

export default composeCommand({
  name: "pause",
  usage: "[SERVICE...]",
  short: "Stop the programs of services for a while",
  completes: "services",
  flags: [],
  async run(app, parsed) {
    const { containers } = await containersOf(app, parsed.positional, { all: false });
    return await app.during("Pausing", async (session) => {
      const wanted = containers.filter(({ state }) => state === "running");
      if (app.isDryRun) app.context.print(wanted.map(({ name }) => `Container ${name}  pause\n`).join(""));
      else {
        await settle(
          wanted.map(({ id, name }) =>
            reported(session.report, `Container ${name}`, ["Pausing", "Paused"], () =>
              session.client.containerPause(id),
            ),
          ),
        );
      }
      return 0;
    });
  },
});
