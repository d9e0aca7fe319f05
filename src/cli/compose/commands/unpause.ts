import { settle } from "../../../compose/dependency-order.ts";
import { reported } from "../../../compose/progress.ts";
import { composeCommand } from "../app.ts";
import { containersOf } from "../containers.ts";

export default composeCommand({
  name: "unpause",
  usage: "[SERVICE...]",
  short: "Let paused services go on",
  completes: "services",
  flags: [],
  async run(app, parsed) {
    const { containers } = await containersOf(app, parsed.positional, { all: false });
    return await app.during("Unpausing", async (session) => {
      const wanted = containers.filter(({ state }) => state === "paused");
      if (app.isDryRun) app.context.print(wanted.map(({ name }) => `Container ${name}  unpause\n`).join(""));
      else {
        await settle(
          wanted.map(({ id, name }) =>
            reported(session.report, `Container ${name}`, ["Unpausing", "Unpaused"], () =>
              session.client.containerUnpause(id),
            ),
          ),
        );
      }
      return 0;
    });
  },
});
