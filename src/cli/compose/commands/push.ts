import { pushImage } from "../../../compose/act/images.ts";
import { settle } from "../../../compose/dependency-order.ts";
import { imageOf, namesOf } from "../../../compose/model/project.ts";
import { errorLine } from "../../each.ts";
import { composeCommand } from "../app.ts";

export default composeCommand({
  name: "push",
  usage: "[OPTIONS] [SERVICE...]",
  short: "Push images of services that are built",
  completes: "services",
  flags: [
    { name: "ignore-push-failures", type: "bool", help: "Go on when an image cannot be pushed" },
    { name: "include-deps", type: "bool", help: "Also push images of what services depend on" },
    { name: "quiet", short: "q", type: "bool", help: "Do not show progress" },
  ],
  async run(app, parsed) {
    const project = app.project(parsed.positional, { dependencies: parsed.bool("include-deps") });
    const wanted = namesOf(project.services).filter((name) => project.services[name]!.build !== undefined);
    const images = wanted.flatMap((name) => {
      const service = project.services[name]!;
      return [imageOf(project, name, service), ...(service.build?.tags ?? [])].map((image) => ({
        name,
        image,
      }));
    });
    if (app.isDryRun) {
      app.context.print(images.map(({ name, image }) => `Image ${image}  push (for ${name})\n`).join(""));
      return 0;
    }
    return await app.during(
      "Pushing",
      async (session) => {
        const push = async (each: { name: string; image: string }): Promise<void> => {
          try {
            await pushImage(session, each, { quiet: parsed.bool("quiet") });
          } catch (error) {
            if (!parsed.bool("ignore-push-failures")) throw error;
            app.warn(errorLine(error));
          }
        };
        await settle(images.map((each) => session.limit(() => push(each))));
        return 0;
      },
      parsed.bool("quiet"),
    );
  },
});
