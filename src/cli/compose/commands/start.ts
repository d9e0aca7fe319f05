import type { Ready } from "../../../compose/act/converge.ts";
import { startProject } from "../../../compose/act/start.ts";
import { listContainers } from "../../../compose/engine.ts";
import { ComposeError } from "../../../compose/errors.ts";
import { projectFromLabels } from "../../../compose/from-labels.ts";
import { withServices } from "../../../compose/model/select.ts";
import { composeCommand } from "../app.ts";

export default composeCommand({
  name: "start",
  usage: "[SERVICE...]",
  short: "Start containers that are there",
  completes: "services",
  flags: [
    { name: "wait", type: "bool", help: "Wait until everything runs and is healthy" },
    { name: "wait-timeout", type: "int", placeholder: "SECONDS", help: "Longest time to wait" },
  ],
  async run(app, parsed) {
    const { project: known, name } = app.projectOrName();
    const containers = await listContainers(app.context.client, name);
    if (containers.length === 0)
      throw new ComposeError(`no container found for project "${name}": not found`);
    const whole = projectFromLabels(name, containers);
    // What is not there cannot be started; what files say of it counts all the same.
    for (const [service, definition] of Object.entries(known?.services ?? {})) {
      if (service in whole.services) whole.services[service] = definition;
    }
    const missing = parsed.positional.find((service) => !(service in whole.services));
    if (missing !== undefined) {
      throw new ComposeError(`service "${missing}" has no container to start`);
    }
    const project = withServices(whole, parsed.positional);
    const ready = new Map<string, Ready[]>();
    for (const container of containers) {
      if (!(container.service in project.services)) continue;
      const own = ready.get(container.service) ?? [];
      own.push({ ...container, isRunning: container.state === "running", isNew: false });
      ready.set(container.service, own);
    }
    return await app.during("Starting", async (session) => {
      if (app.isDryRun) {
        const stopped = [...ready.values()].flat().filter(({ isRunning }) => !isRunning);
        app.context.print(stopped.map((each) => `Container ${each.name}  start\n`).join(""));
        return 0;
      }
      await startProject(session, project, ready, {
        wait: parsed.bool("wait"),
        waitTimeoutSeconds: parsed.number("wait-timeout"),
      });
      return 0;
    });
  },
});
