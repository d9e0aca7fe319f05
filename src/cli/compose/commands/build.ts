import { buildServices } from "../../../compose/act/build.ts";
import { pushServices } from "../../../compose/act/images.ts";
import { ComposeError } from "../../../compose/errors.ts";
import { imageOf, namesOf, type Project } from "../../../compose/model/project.ts";
import { composeCommand } from "../app.ts";
import { buildOptions } from "../build-output.ts";

export default composeCommand({
  name: "build",
  usage: "[OPTIONS] [SERVICE...]",
  short: "Build images of services",
  completes: "services",
  flags: [
    { name: "build-arg", type: "list", placeholder: "NAME=VALUE", help: "Set a variable of the build" },
    {
      name: "builder",
      type: "string",
      help: "Another builder",
      refused: "the daemon that is named by -H builds",
    },
    { name: "memory", short: "m", type: "bytes", help: "Most memory of the build's containers" },
    { name: "no-cache", type: "bool", help: "Build every step anew" },
    {
      name: "progress",
      type: "string",
      help: "How progress is shown: auto, tty, plain or quiet",
      hidden: true,
    },
    { name: "pull", type: "bool", help: "Look for newer base images" },
    { name: "push", type: "bool", help: "Push the images" },
    { name: "quiet", short: "q", type: "bool", help: "Do not show what the builds say" },
    {
      name: "ssh",
      type: "list",
      placeholder: "ID[=SOCKET|KEY]",
      help: "Agents or keys for the builds' ssh mounts; 'default' is your agent",
    },
    { name: "with-dependencies", type: "bool", help: "Also build what the services depend on" },
  ],
  async run(app, parsed) {
    const dependencies = parsed.bool("with-dependencies");
    const project = withSsh(app.project(parsed.positional, { dependencies }), parsed.list("ssh"));
    const names = namesOf(project.services).filter((name) => project.services[name]!.build !== undefined);
    const unbuildable = parsed.positional.find((name) => project.services[name]?.build === undefined);
    if (unbuildable !== undefined && names.length === 0) {
      throw new ComposeError(`service ${unbuildable} has nothing to build`);
    }
    if (app.isDryRun) {
      const lines = names.map(
        (name) => `Image ${imageOf(project, name, project.services[name]!)}  build (for ${name})\n`,
      );
      app.context.print(lines.join(""));
      return 0;
    }
    const args = assigned(parsed.list("build-arg"));
    return await app.during("Building", async (session) => {
      const given = {
        noCache: parsed.bool("no-cache"),
        pull: parsed.bool("pull"),
        args,
      };
      await buildServices(session, project, names, {
        ...buildOptions(app, parsed.bool("quiet"), given),
        ...given,
        ...(parsed.changed("memory") ? { memoryBytes: parsed.number("memory") } : {}),
      });
      if (parsed.bool("push")) await pushServices(session, project, names, { quiet: parsed.bool("quiet") });
      return 0;
    });
  },
});

/** The project, in which every build has these agents and keys too. */
function withSsh(project: Project, given: readonly string[]): Project {
  if (given.length === 0) return project;
  const ssh = assigned(given);
  const services = Object.entries(project.services).map(([name, service]) => [
    name,
    service.build === undefined
      ? service
      : { ...service, build: { ...service.build, ssh: { ...service.build.ssh, ...ssh } } },
  ]);
  return { ...project, services: Object.fromEntries(services) as Project["services"] };
}

/** `NAME=text`, or `NAME` alone. */
function assigned(texts: readonly string[]): Record<string, string | null> {
  return Object.fromEntries(
    texts.map((text) => {
      const equals = text.indexOf("=");
      return equals < 0 ? [text, null] : [text.slice(0, equals), text.slice(equals + 1)];
    }),
  );
}
