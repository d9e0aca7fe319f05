import { stopContainer } from "../../../compose/act/stop.ts";
import { inDependencyOrder, settle } from "../../../compose/dependency-order.ts";
import { projectFromLabels } from "../../../compose/from-labels.ts";
import type { Project } from "../../../compose/model/project.ts";
import { composeCommand, timeoutFlag, timeoutOf } from "../app.ts";
import { containersOf } from "../containers.ts";

export default composeCommand({
  name: "restart",
  usage: "[OPTIONS] [SERVICE...]",
  short: "Stop services and start them again",
  completes: "services",
  flags: [
    timeoutFlag,
    { name: "no-deps", type: "bool", help: "Leave services alone that want to follow a restart" },
  ],
  async run(app, parsed) {
    const { project: known, name, containers } = await containersOf(app, []);
    if (parsed.positional.length > 0) await containersOf(app, parsed.positional);
    const project = known ?? projectFromLabels(name, containers);
    const wanted = parsed.bool("no-deps")
      ? new Set(parsed.positional)
      : withFollowers(project, parsed.positional);
    const isWanted = (service: string): boolean => parsed.positional.length === 0 || wanted.has(service);
    const own = containers.filter(({ service }) => service in project.services && isWanted(service));
    const byService = Map.groupBy(own, ({ service }) => service);
    const order = new Map(
      [...byService.keys()].map((service) => [
        service,
        Object.keys(project.services[service]?.depends_on ?? {}),
      ]),
    );
    return await app.during("Restarting", async (session) => {
      if (app.isDryRun) {
        app.context.print(own.map((each) => `Container ${each.name}  restart\n`).join(""));
        return 0;
      }
      await inDependencyOrder(order, async (service) => {
        await settle(
          (byService.get(service) ?? []).map(async (container) => {
            const id = `Container ${container.name}`;
            session.report({ id, kind: "working", text: "Restarting" });
            const hasHooks = (project.services[service]?.pre_stop?.length ?? 0) > 0;
            if (hasHooks) await stopContainer(session, project, container, timeoutOf(parsed));
            await session.client.containerRestart(container.id, timeoutOf(parsed));
            session.report({ id, kind: "done", text: "Started" });
          }),
        );
      });
      return 0;
    });
  },
});

/** The services, and those whose `depends_on` says that they are restarted with them. */
function withFollowers(project: Project, services: readonly string[]): Set<string> {
  const wanted = new Set(services);
  for (let size = -1; size !== wanted.size;) {
    size = wanted.size;
    for (const [name, { depends_on: dependsOn }] of Object.entries(project.services)) {
      const follows = Object.entries(dependsOn ?? {}).some(
        ([other, { restart }]) => restart === true && wanted.has(other),
      );
      if (follows) wanted.add(name);
    }
  }
  return wanted;
}
