import { ComposeError } from "../../../compose/errors.ts";
import { down, planDown } from "../../../compose/act/down.ts";
import { composeCommand } from "../app.ts";
import { containersOf } from "../containers.ts";

export default composeCommand({
  name: "wait",
  usage: "[OPTIONS] SERVICE [SERVICE...]",
  short: "Wait until the first container of the services ends, and end with its exit code",
  args: { min: 1 },
  completes: "services",
  flags: [{ name: "down-project", type: "bool", help: "Take the project away when the container has ended" }],
  async run(app, parsed) {
    const { client } = app.context;
    const { containers, project, name } = await containersOf(app, parsed.positional, { all: false });
    if (containers.length === 0) {
      throw new ComposeError(`no containers for project "${name}"`);
    }
    const waits = await Promise.all(containers.map(({ id }) => client.containerWait(id)));
    const ends = waits.map(async ({ result }, index) => {
      const { StatusCode: status } = await result;
      return { id: containers[index]!.id, code: status };
    });
    const { id, code } = await Promise.race(ends);
    for (const wait of waits) wait.close();
    app.context.print(`container "${id}" exited with status code ${code}\n`);
    if (parsed.bool("down-project")) {
      const options = { services: [], volumes: false, images: "", removeOrphans: true } as const;
      await app.during("Running", async (session) => {
        await down(session, await planDown(session, name, project, options), { ...options, project });
      });
    }
    return code;
  },
});
