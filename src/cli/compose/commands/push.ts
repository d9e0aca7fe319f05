import { pushedNames, pushServices } from "../../../compose/act/images.ts";
import { namesOf } from "../../../compose/model/project.ts";
import { errorLine } from "../../each.ts";
import { composeCommand } from "../app.ts";

export default composeCommand({
  name: "push",
  usage: "[OPTIONS] [SERVICE...]",
  short: "Push images of services that are built",
  long: "Pushes the images that have a name of their own in the file. Services without `build`, or without `image`, are skipped.",
  completes: "services",
  flags: [
    { name: "ignore-push-failures", type: "bool", help: "Go on when an image cannot be pushed" },
    { name: "include-deps", type: "bool", help: "Also push images of what services depend on" },
    { name: "quiet", short: "q", type: "bool", help: "Do not show progress" },
  ],
  async run(app, parsed) {
    const project = app.project(parsed.positional, { dependencies: parsed.bool("include-deps") });
    const names = namesOf(project.services);
    if (app.isDryRun) {
      const lines = names.flatMap((name) =>
        pushedNames(project.services[name]!).map((image) => `Image ${image}  push (for ${name})\n`),
      );
      app.context.print(lines.join(""));
      return 0;
    }
    const quiet = parsed.bool("quiet");
    const onFailure = (name: string, error: unknown): void => app.say(`Pushing ${name}: ${errorLine(error)}`);
    await app.during(
      "Pushing",
      (session) =>
        pushServices(session, project, names, {
          quiet,
          ...(parsed.bool("ignore-push-failures") ? { onFailure } : {}),
        }),
      quiet,
    );
    return 0;
  },
});
