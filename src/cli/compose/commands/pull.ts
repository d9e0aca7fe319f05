import { ConnectionError } from "../../../client/errors.ts";
import { pullServices } from "../../../compose/act/images.ts";
import { inspectImages } from "../../../compose/engine.ts";
import { namesOf } from "../../../compose/model/project.ts";
import { errorLine } from "../../each.ts";
import { CliError } from "../../errors.ts";
import { composeCommand, oneOf } from "../app.ts";

/** Docker Compose's exit code for it. */
const pullFailure = 18;

export default composeCommand({
  name: "pull",
  usage: "[OPTIONS] [SERVICE...]",
  short: "Pull images of services",
  completes: "services",
  flags: [
    { name: "ignore-buildable", type: "bool", help: "Leave out images that can be built" },
    { name: "ignore-pull-failures", type: "bool", help: "Go on when an image cannot be pulled" },
    { name: "include-deps", type: "bool", help: "Also pull images of what services depend on" },
    { name: "no-parallel", type: "bool", help: "Another word of older days", hidden: true },
    {
      name: "policy",
      type: "string",
      help: "When to pull: missing or always",
      validate: oneOf("missing", "always"),
    },
    { name: "quiet", short: "q", type: "bool", help: "Do not show progress" },
  ],
  async run(app, parsed) {
    const project = app.project(parsed.positional, { dependencies: parsed.bool("include-deps") });
    const images = Object.values(project.services).flatMap(({ image }) =>
      image === undefined ? [] : [image],
    );
    const there = await inspectImages(app.context.client, images);
    return await app.during(
      "Pulling",
      async (session) => {
        const wanted: string[] = [];
        for (const name of namesOf(project.services)) {
          const { image, build, pull_policy: own = "" } = project.services[name]!;
          const policy = parsed.changed("policy") ? parsed.string("policy") : own;
          const skip = (why: string): void =>
            session.report({ id: name, kind: "done", text: `Skipped${why}` });
          if (image === undefined) skip(" - No image to be pulled");
          else if (policy === "never" || policy === "build") skip("");
          else if (policy === "missing" && there.has(image)) skip(" - Image is already present locally");
          else if (build !== undefined && parsed.bool("ignore-buildable")) skip(" - Image can be built");
          else wanted.push(name);
        }
        if (app.isDryRun) {
          app.context.print(
            wanted.map((name) => `Image ${project.services[name]!.image!}  pull (for ${name})\n`).join(""),
          );
          return 0;
        }
        try {
          const unpulled = await pullServices(session, project, wanted, { quiet: parsed.bool("quiet") });
          if (unpulled.length > 0) {
            app.warn(
              `Some service image(s) must be built from source by running:\n    gantry compose build ${unpulled.join(" ")}`,
            );
          }
        } catch (error) {
          // A reader or a daemon that is gone is no failure of a pull.
          if (error instanceof CliError || error instanceof ConnectionError) throw error;
          if (!parsed.bool("ignore-pull-failures"))
            throw new CliError(errorLine(error), pullFailure, { cause: error });
          app.warn(errorLine(error));
        }
        return 0;
      },
      parsed.bool("quiet"),
    );
  },
});
